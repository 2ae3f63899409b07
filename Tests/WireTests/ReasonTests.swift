import BongsuTestKit
import Glibc
import Testing

@testable import BongsuWire

@Suite("Reason codes")
struct ReasonTests {
  /// The text of FORMAT.md, found beside the module's sources.
  private static let format: String? = {
    let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    // SAFETY: fopen and getline follow their contracts: the buffer is theirs until freed here, once.
    guard let file = unsafe fopen(folder + "/Sources/Wire/FORMAT.md", "r") else { return nil }
    defer { unsafe fclose(file) }
    var text = ""
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    while unsafe getline(&line, &capacity, file) > 0 {
      if let line = unsafe line { text += unsafe String(cString: line) }
    }
    unsafe free(line)
    return text
  }()

  @Test("the table in FORMAT.md lists every code with its number, label, text and next step")
  func table() throws {
    let format = try #require(Self.format)
    for reason in RefuseReason.allCases {
      #expect(format.contains("| \(reason.rawValue) | `\(reason.label)` | \(reason.text) | \(reason.nextStep) |"))
    }
    for reason in GapReason.allCases {
      #expect(format.contains("| \(reason.rawValue) | `\(reason.label)` | \(reason.text) | \(reason.nextStep) |"))
    }
    for reason in RejectReason.allCases {
      let consumes = reason.isFinal ? "yes" : "no"
      #expect(
        format.contains(
          "| \(reason.rawValue) | `\(reason.label)` | \(consumes) | \(reason.text) | \(reason.nextStep) |"))
    }
  }

  @Test("numbers are stable")
  func numbers() {
    #expect(RefuseReason.allCases.map(\.rawValue) == Array(1...10))
    #expect(RejectReason.allCases.map(\.rawValue) == Array(1...7))
    #expect(GapReason.allCases.map(\.rawValue) == Array(1...12))
    #expect(RejectReason.allCases.allSatisfy { $0.gap == nil || $0.gap?.label == $0.label })
  }
}
