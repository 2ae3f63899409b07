import BongsuReports
import BongsuTestKit
import FixtureAggregator
import Foundation
import Testing

@Suite("A signed account")
struct SignedReportTests {
  private let signer = ReportSigner()

  private func document() throws -> [UInt8] { try SignedReport(FixtureReports.report(), by: signer).document }

  private func fault(_ document: [UInt8], key: ReportKey? = nil) -> ReportFault? {
    do throws(ReportFault) {
      try SignedReport(document: document).check(signedBy: key ?? signer.key)
      return nil
    } catch { return error }
  }

  @Test("it comes back as it was, and its owner's key says that it is his")
  func roundTrip() throws {
    let signed = try SignedReport(FixtureReports.report(), by: signer)
    let read = try SignedReport(document: signed.document)
    #expect(read == signed && read.report == FixtureReports.report())
    try read.check(signedBy: signer.key)
  }

  @Test("the same account is the same bytes, and JSON that others read")
  func canonical() throws {
    let first = try SignedReport(FixtureReports.report(), by: signer)
    #expect(try SignedReport(FixtureReports.report(), by: signer).data == first.data)
    let text = String(decoding: first.document, as: UTF8.self)
    #expect(!text.contains("<") && text.filter { $0 == "\n" }.count == 1)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(first.document)) as? [String: Any])
    let report = try #require(object["report"] as? [String: Any])
    #expect((report["subject"] as? [String: Any])?["name"] as? String == FixtureReports.name)
    #expect((report["account"] as? [String: Any])?["energy_joules"] as? Double == 5.4321e9)
  }

  @Test("whatever digit or letter is changed, it is noticed")
  func everyByte() throws {
    let document = try document()
    for index in document.indices {
      var changed = document
      switch changed[index] {
      case UInt8(ascii: "0")...UInt8(ascii: "8"), UInt8(ascii: "a")...UInt8(ascii: "y"): changed[index] += 1
      case UInt8(ascii: "9"): changed[index] = UInt8(ascii: "0")
      default: changed[index] = UInt8(ascii: "7")
      }
      #expect(fault(changed) != nil, "byte \(index)")
    }
  }

  @Test("damage of any kind is refused and never a crash")
  func damage() throws {
    let document = try document()
    var random = SeededRandom(default: 8)
    for _ in 0..<300 {
      var changed = document
      switch Int.random(in: 0..<3, using: &random) {
      case 0: changed.removeSubrange(0..<Int.random(in: 1...changed.count, using: &random))
      case 1: changed.removeLast(Int.random(in: 1...changed.count, using: &random))
      default:
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          changed[Int.random(in: changed.indices, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
        }
      }
      #expect(fault(changed) != nil, "seed \(random.seed)")
    }
    for text in ["", "{}", "{\"report\":{},\"signature\":{}}\n", "{\"report\":,\"signature\":}\n"] {
      #expect(fault(Array(text.utf8)) != nil)
    }
  }

  @Test("a changed digit, another key and a forged signature are told apart")
  func faults() throws {
    let text = String(decoding: try document(), as: UTF8.self)
    let dearer = text.replacingOccurrences(of: "\"energy_joules\":5432100000", with: "\"energy_joules\":5432100001")
    #expect(dearer != text)
    guard case .changed = fault(Array(dearer.utf8)) else {
      Issue.record("\(String(describing: fault(Array(dearer.utf8))))")
      return
    }
    let other = ReportSigner()
    #expect(
      fault(try document(), key: other.key)
        == .otherKey(found: signer.key.fingerprint, expected: other.key.fingerprint))
    // Somebody signs other figures and claims the owner's key.
    var report = FixtureReports.report()
    report.account.energyJoules = 1
    let forged = String(decoding: try SignedReport(report, by: other).document, as: UTF8.self)
      .replacingOccurrences(of: other.key.description, with: signer.key.description)
    #expect(fault(Array(forged.utf8)) == .forged(signer.key.fingerprint))
  }

  @Test("reformatted, or of a form of the future, it is refused by name")
  func forms() throws {
    let text = String(decoding: try document(), as: UTF8.self)
    let spaced = text.replacingOccurrences(of: "{\"report\":", with: "{ \"report\": ")
    guard case .notAReport = fault(Array(spaced.utf8)) else {
      Issue.record("\(String(describing: fault(Array(spaced.utf8))))")
      return
    }
    let later = text.replacingOccurrences(of: "bongsu-usage-report-1", with: "bongsu-usage-report-2")
    #expect(fault(Array(later.utf8)) == .unknownFormat("bongsu-usage-report-2"))
  }

  @Test("keys are read from their text and nothing else")
  func keys() throws {
    #expect(ReportKey(" \(signer.key)\n") == signer.key)
    let secret = try #require(ReportSigner(secretText: signer.secretText))
    #expect(secret.key == signer.key)
    for text in ["", "key", "AAAA", String(signer.key.description.dropLast(4)), signer.secretText] {
      #expect(ReportKey(text) == nil)
    }
    for text in ["", signer.key.description, signer.secretText.replacingOccurrences(of: " 1", with: " 2")] {
      #expect(ReportSigner(secretText: text) == nil)
    }
    #expect(signer.key.fingerprint.hasPrefix("SHA256:") && signer.key.fingerprint.count == 50)
  }
}

@Suite("A month")
struct ReportMonthTests {
  @Test("is read as year and month and nothing else")
  func reads() {
    #expect(ReportMonth("2026-10")?.description == "2026-10")
    for text in ["2026-13", "2026-00", "2026-1", "26-10", "2026-10-01", "", "1969-12", "2200-01", "２０２６-10", "+026-10"]
    {
      #expect(ReportMonth(text) == nil, "\(text)")
    }
  }

  @Test("begins and ends at local midnight, also over years and leap days")
  func spans() throws {
    let seoul = 9 * 3600
    let october = try #require(ReportMonth("2026-10"))
    #expect(october.start(secondsEast: seoul) == TimeText.unixMilliseconds("2026-09-30T15:00:00Z"))
    #expect(october.next.start(secondsEast: seoul) == TimeText.unixMilliseconds("2026-10-31T15:00:00Z"))
    let february = try #require(ReportMonth("2028-02"))
    #expect(february.next.start(secondsEast: 0) - february.start(secondsEast: 0) == 29 * 86_400_000)
    #expect(
      ReportMonth("2026-12")?.next == ReportMonth("2027-01")
        && ReportMonth("2027-01")?.previous == ReportMonth("2026-12"))
    let first = october.start(secondsEast: seoul)
    #expect(ReportMonth(containing: first, secondsEast: seoul) == october)
    #expect(ReportMonth(containing: first - 1, secondsEast: seoul) == october.previous)
  }
}
