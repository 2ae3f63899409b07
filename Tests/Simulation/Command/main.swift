import BongsuSimulation
import Glibc

/// `bongsu-simulate [--seeds N] [--seed S] [--mutation NAME] [--trace]`

func usage(_ problem: String) -> Never {
  print("\(problem)\nusage: bongsu-simulate [--seeds N] [--seed FIRST] [--mutation NAME] [--trace]")
  exit(2)
}

var count: UInt64 = 200
var first: UInt64 = 1
var mutation: Mutation?
var isTracing = false
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
  switch argument {
  case "--seeds":
    guard let value = arguments.popFirst().flatMap({ UInt64($0) }), value > 0 else { usage("--seeds needs a number") }
    count = value
  case "--seed":
    guard let value = arguments.popFirst().flatMap({ UInt64($0) }) else { usage("--seed needs a number") }
    first = value
  case "--mutation":
    guard let value = arguments.popFirst().flatMap({ Mutation(rawValue: $0) }) else {
      usage("--mutation needs one of \(Mutation.allCases.map(\.rawValue).joined(separator: " "))")
    }
    mutation = value
  case "--trace": isTracing = true
  default: usage("unknown argument \(argument)")
  }
}

var samples = 0
var stored = 0
var gaps = 0
var failed = 0
for seed in first..<(first + count) {
  let outcome = Simulation.run(seed: seed, mutation: mutation, keepsTrace: isTracing)
  samples += outcome.samples
  stored += outcome.stored
  gaps += outcome.gaps
  if isTracing { for line in outcome.trace { print(line) } }
  guard !outcome.violations.isEmpty else { continue }
  failed += 1
  print("seed \(seed) (\(outcome.faults.joined(separator: ", "))):")
  for violation in outcome.violations.prefix(5) { print("  \(violation)") }
  print("  again: ops/simulate --seed \(seed) --seeds 1 --trace")
  if failed >= 10 { break }
}
print(
  "\(count) seeds from \(first): \(failed) violated, \(samples) samples taken, \(stored) stored, "
    + "\(samples - stored) lost with a gap, \(gaps) gap records")
exit(failed == 0 ? 0 : 1)
