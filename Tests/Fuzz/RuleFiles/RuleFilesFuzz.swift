import BongsuQuery
import BongsuSeries

/// libFuzzer's entry: reads the input as a rule file, and as a template. Both must be read or refused by name.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard count >= 1, let start = unsafe start else { return 0 }
  var input: [UInt8] = []
  // SAFETY: the fuzzer hands over `count` readable bytes that outlive the call.
  for index in 0..<count { input.append(unsafe start[index]) }
  let text = String(decoding: input, as: UTF8.self)
  switch RuleFile.parse(text, path: "rules.yaml") {
  case .success(let file):
    for group in file.groups {
      guard (group.intervalMilliseconds ?? 1) > 0, group.limit >= 0 else {
        fatalError("a group that cannot be run was accepted")
      }
    }
  case .failure(let failures):
    guard !failures.failures.isEmpty, !failures.description.isEmpty else { fatalError("refused without a reason") }
  }
  _ = try? Template.parse(text, name: "input")
  return 0
}
