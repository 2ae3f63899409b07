import BongsuFleet
import BongsuModel
import Foundation

/// A simulated past, without the hours it would take: for the benchmarks of stored data.
///
///     bongsu-past tiers FLEET.yaml NODES MINUTES DIRECTORY                   what its rollups cost
///     bongsu-past directory FLEET.yaml NODES MINUTES DIRECTORY END_SECONDS   a data directory that has it
///
/// END_SECONDS is Unix time, on a whole minute.
@main
enum PastCommand {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    let words = Array(arguments.dropFirst())
    guard words.count >= 4, let nodes = Int(words[1]), let minutes = Int64(words[2]), nodes > 0, minutes > 0 else {
      refuse()
    }
    let tree = try FleetFile(path: words[0], options: FleetOptions(demoInService: true)).usableTree()
    switch (arguments.first, words.count) {
    case ("tiers", 4): try TierCosts.run(tree, nodes: nodes, minutes: minutes, directory: words[3])
    case ("directory", 5):
      guard let end = Int64(words[4]), end > 0, end % 60 == 0 else { refuse() }
      var directory = try PastDirectory(tree, nodes: nodes, directory: words[3])
      try directory.write(minutes: minutes, through: Tick(unixMilliseconds: end * 1000))
    default: refuse()
    }
  }

  private static func refuse() -> Never {
    let usage = """
      usage: bongsu-past tiers FLEET.yaml NODES MINUTES DIRECTORY
             bongsu-past directory FLEET.yaml NODES MINUTES DIRECTORY END_SECONDS

      """
    FileHandle.standardError.write(Data(usage.utf8))
    exit(2)
  }
}

/// Seconds of this process.
enum Clock {
  static func cpuSeconds() -> Double { seconds(CLOCK_PROCESS_CPUTIME_ID) }
  static func seconds() -> Double { seconds(CLOCK_MONOTONIC) }

  private static func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    // SAFETY: the structure outlives the call that fills it.
    unsafe clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
