import Glibc

// Hands libFuzzer the function that it calls with each input. `Fuzz/fuzz` builds and runs this.

@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(
  runFuzzer(&count, &arguments) { bytes, count in
    var interpreter = Interpreter(Input(UnsafeBufferPointer(start: bytes, count: count)))
    interpreter.run()
    return 0
  })
