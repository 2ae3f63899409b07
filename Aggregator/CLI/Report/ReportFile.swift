internal import BongsuReports
internal import Foundation

/// A report as it lies in a file, in any form that carries its signature.
struct ReportFile {
  /// The forms that can be checked. A table is for reading.
  enum Form {
    case json
    case csv
    case html
  }

  let form: Form
  let signed: SignedReport
  private let text: String

  /// Reads what `bongsu report` has written.
  init(_ bytes: [UInt8]) throws(ReportFault) {
    guard bytes.count <= SignedReport.documentBytesMax, let text = String(validating: bytes, as: UTF8.self) else {
      throw .notAReport("it is not text of at most \(SignedReport.documentBytesMax) bytes")
    }
    self.text = text
    if bytes.first == UInt8(ascii: "{") {
      form = .json
      signed = try SignedReport(document: bytes)
    } else if text.hasPrefix("<!doctype html>") {
      form = .html
      guard let opening = text.range(of: ReportPage.documentOpening),
        let closing = text.range(of: ReportPage.documentClosing, range: opening.upperBound..<text.endIndex)
      else { throw .notAReport("the page holds no signed report") }
      signed = try SignedReport(document: Array(text[opening.upperBound..<closing.lowerBound].utf8) + [0x0A])
    } else {
      form = .csv
      let mark = "\(ReportText.documentPart),\(UsageReport.formatName),\""
      guard let opening = text.range(of: mark), let closing = text.range(of: "\",", options: .backwards),
        opening.upperBound < closing.lowerBound
      else { throw .notAReport("it is neither JSON nor CSV nor HTML of `bongsu report`") }
      let document = text[opening.upperBound..<closing.lowerBound].replacingOccurrences(of: "\"\"", with: "\"")
      signed = try SignedReport(document: Array(document.utf8) + [0x0A])
    }
  }

  /// Whether the owner of `key` signed it, and all that people read in it.
  func check(signedBy key: ReportKey) throws(ReportFault) {
    try signed.check(signedBy: key)
    let printed: String
    switch form {
    case .json: return
    case .csv: printed = ReportText.csv(signed)
    case .html: printed = ReportPage.html(signed)
    }
    guard !printed.utf8.elementsEqual(text.utf8) else { return }
    func lines(_ text: String) -> [Substring.UTF8View] {
      text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map { Substring($0).utf8 }
    }
    let pairs = zip(lines(printed), lines(text))
    let line = pairs.enumerated().first { !$0.element.0.elementsEqual($0.element.1) }?.offset
    throw .otherPrint(line: (line ?? min(lines(printed).count, lines(text).count)) + 1)
  }
}
