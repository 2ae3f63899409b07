import Foundation

/// What this process holds at one moment.
struct ProcessCost {
  let residentKibibytes: Int
  /// Memory that is no file's: heap and stacks.
  let anonymousKibibytes: Int
  let descriptors: Int
  let threads: Int

  static func now() -> ProcessCost {
    func kibibytes(_ key: String) -> Int {
      let text = (try? String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8)) ?? ""
      let line = text.split(separator: "\n").first { $0.hasPrefix(key) }
      return line.flatMap { Int($0.split(whereSeparator: \.isWhitespace)[1]) } ?? 0
    }
    func entries(_ folder: String) -> Int { (try? FileManager.default.contentsOfDirectory(atPath: folder).count) ?? 0 }
    return ProcessCost(
      residentKibibytes: kibibytes("Rss:"), anonymousKibibytes: kibibytes("Anonymous:"),
      descriptors: entries("/proc/self/fd"), threads: entries("/proc/self/task"))
  }
}
