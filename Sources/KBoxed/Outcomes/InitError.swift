/// Why a value was not made in place: there was no memory for it, or making it failed.
///
/// In both cases no memory is held, and no value was destroyed, as none existed.
public enum InitError<Failure: Error>: Error {
  /// The allocation failed; the initialiser did not run.
  case allocation(AllocError)
  /// The initialiser threw; the memory for the value has been given back.
  case initializer(Failure)
}

extension InitError: Equatable where Failure: Equatable {}
