internal import BongsuReports

/// A signed account as a page of its own that prints on A4: no script that runs, nothing from elsewhere. The document
/// that was signed lies inside, so that `bongsu report verify` needs no other file.
enum ReportPage {
  static let documentOpening = "<script type=\"application/json\" id=\"signed-report\">"
  static let documentClosing = "</script>"

  static func html(_ signed: SignedReport) -> String {
    let report = signed.report
    let figures = ReportFigures(report)
    let title = "\(report.nation): \(figures.subject), \(report.month)"
    var out = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
      <title>\(escaped(title))</title>
      <style>
      \(style)
      </style>
      </head>
      <body>
      <header>
      <p class="nation">\(escaped(report.nation))</p>
      <h1>Account of GPU use and energy <span lang="ko">GPU 사용 및 전력 정산서</span></h1>
      <p class="subject">\(report.subject.kind == .allocation ? "Allocation" : "Factory") <b>\(escaped(figures.subject))</b></p>
      <p>\(escaped(report.month)): \(escaped(figures.span))</p>
      </header>
      <table>
      <thead><tr><th>Figure</th><th lang="ko">항목</th><th class="number">Value</th></tr></thead>
      <tbody>

      """
    for figure in figures.all {
      out += "<tr><td>\(indented(figure.label))</td><td lang=\"ko\">\(indented(figure.korean))</td>"
      out += "<td class=\"number\">\(escaped(figure.text))</td></tr>\n"
    }
    out += "</tbody>\n</table>\n"
    out += idleNodes(report)
    if !report.carbonFactors.isEmpty {
      out += "<p>Carbon factors: \(escaped(report.carbonFactors.map(figures.factor).joined(separator: "; "))).</p>\n"
    }
    if !figures.reservations.isEmpty {
      out += "<ul class=\"notes\">\n"
      for note in figures.reservations { out += "<li>\(escaped(note))</li>\n" }
      out += "</ul>\n"
    }
    return out + seal(signed, figures)
  }

  private static func idleNodes(_ report: UsageReport) -> String {
    guard let nodes = report.idleNodes, !nodes.isEmpty else { return "" }
    var out = """
      <table>
      <thead><tr><th>Nodes that idled most <span lang="ko">유휴 전력 상위 노드</span></th><th>Factory</th>\
      <th class="number">Idle power</th><th class="number">Hours</th></tr></thead>
      <tbody>

      """
    for node in nodes {
      out += "<tr><td>\(escaped(node.node))</td><td>\(escaped(node.factory))</td>"
      out += "<td class=\"number\">\(UnitText.scaled(node.idleWatts, "W"))</td>"
      out += "<td class=\"number\">\(UnitText.count(Int64(node.hours)))</td></tr>\n"
    }
    return out + "</tbody>\n</table>\n"
  }

  private static func seal(_ signed: SignedReport, _ figures: ReportFigures) -> String {
    let signature = signed.signature
    let key = ReportKey(signature.key)?.fingerprint ?? ""
    return """
      <footer>
      <h2>Signature <span lang="ko">서명</span></h2>
      <dl>
      <dt>SHA-256</dt><dd>\(escaped(signature.sha256))</dd>
      <dt>\(escaped(signature.algorithm))</dt><dd>\(escaped(signature.value))</dd>
      <dt>Key</dt><dd>\(escaped(signature.key))</dd>
      <dt>Fingerprint</dt><dd>\(escaped(key))</dd>
      <dt>Made</dt><dd>\(escaped(figures.made))</dd>
      </dl>
      <p>Check the file with: bongsu report verify FILE --key KEY</p>
      </footer>
      \(documentOpening)\(String(decoding: signed.document.dropLast(), as: UTF8.self))\(documentClosing)
      </body>
      </html>

      """
  }

  private static func indented(_ text: String) -> String {
    text.hasPrefix("  ") ? "<span class=\"part\">\(escaped(String(text.dropFirst(2))))</span>" : escaped(text)
  }

  private static func escaped(_ text: String) -> String {
    TextTable.withoutControls(text).reduce(into: "") { out, character in
      switch character {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      default: out.append(character)
      }
    }
  }

  private static let style = """
    @page { size: A4; margin: 14mm 16mm; }
    * { box-sizing: border-box; }
    body { font: 9.5pt/1.3 "Noto Sans", "Noto Sans CJK KR", "Noto Sans KR", "Malgun Gothic", sans-serif; color: #111;
      background: #fff; max-width: 178mm; margin: 0 auto; padding: 6mm 0; }
    @media print { body { padding: 0; } }
    header { border-bottom: 1.5pt solid #111; margin-bottom: 4mm; padding-bottom: 2mm; }
    header p { margin: 1mm 0; }
    h1 { font-size: 16pt; line-height: 1.25; margin: 1mm 0 3mm; }
    h1 span { display: block; font-size: 11pt; font-weight: normal; color: #444; }
    h2 { font-size: 10.5pt; margin: 0 0 1mm; }
    h2 span, th span { font-weight: normal; color: #444; }
    .nation { color: #444; }
    table { width: 100%; border-collapse: collapse; margin: 0 0 4mm; break-inside: avoid; }
    th, td { text-align: left; vertical-align: top; padding: 0.5mm 2mm 0.5mm 0; border-bottom: 0.4pt solid #bbb; }
    thead th { border-bottom: 0.8pt solid #111; }
    td:lang(ko) { color: #444; }
    .part { padding-left: 4mm; }
    th.number, td.number { text-align: right; padding-right: 0; font-variant-numeric: tabular-nums; }
    td, dd { overflow-wrap: anywhere; }
    .notes { margin: 0 0 4mm; padding-left: 5mm; }
    footer { border-top: 0.8pt solid #111; padding-top: 2mm; font-size: 7.5pt; break-inside: avoid; }
    footer p { margin: 1mm 0 0; }
    dl { display: grid; grid-template-columns: 22mm 1fr; margin: 0; }
    dd { margin: 0; font-family: "Noto Sans Mono", monospace; }
    """
}
