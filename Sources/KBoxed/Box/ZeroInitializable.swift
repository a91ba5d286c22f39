/// A type for which a run of zero bytes is a valid value.
///
/// > Safety: Conform a type only if its stored properties all are of such types: no reference, no pointer that is not
/// > optional, no enum whose first case has another representation.
public protocol ZeroInitializable: ~Copyable {}

extension Int: ZeroInitializable {}
extension Int8: ZeroInitializable {}
extension Int16: ZeroInitializable {}
extension Int32: ZeroInitializable {}
extension Int64: ZeroInitializable {}
extension UInt: ZeroInitializable {}
extension UInt8: ZeroInitializable {}
extension UInt16: ZeroInitializable {}
extension UInt32: ZeroInitializable {}
extension UInt64: ZeroInitializable {}
extension Float: ZeroInitializable {}
extension Double: ZeroInitializable {}
extension Bool: ZeroInitializable {}
