internal import ArgumentParser
internal import BongsuModel
internal import BongsuReports

/// Nodes as a table, as CSV, or one by one.
enum NodeText {
  /// The address of a node in the API; a malformed name is refused before anything is sent.
  static func path(of name: String) throws -> String {
    guard let node = NodeID(name) else {
      throw ValidationError(
        "\"\(TextTable.withoutControls(name))\" cannot be the name of a node: 1 to 63 letters, digits, dots, dashes or "
          + "underscores, starting with a letter or digit")
    }
    return "/api/bongsu/v1/nodes/\(node.name)"
  }

  static func lines(_ list: NodeList, style: TerminalStyle) -> [String] {
    var table = TextTable(columns: [
      ("NODE", .left), ("STATE", .left), ("FACTORY", .left), ("HALL", .left), ("RACK", .left), ("ALLOCATION", .left),
      ("GPUS", .right), ("LAST TICK", .left), ("SKEW", .right), ("AGENT", .left), ("REMARK", .left),
    ])
    for node in list.nodes {
      table.add([
        TextTable.Cell(node.id), TextTable.Cell(node.state.rawValue, emphasis(of: node.state)),
        TextTable.Cell(node.factory ?? UnitText.unknown), TextTable.Cell(node.hall ?? UnitText.unknown),
        TextTable.Cell(node.rack ?? UnitText.unknown), TextTable.Cell(node.allocation ?? UnitText.unknown),
        TextTable.Cell(String(node.gpus)), TextTable.Cell(time(node.lastTickUnixMilliseconds)),
        TextTable.Cell(UnitText.lag(milliseconds: node.skewMilliseconds)),
        TextTable.Cell(node.agentVersion ?? UnitText.unknown), TextTable.Cell(node.remark ?? ""),
      ])
    }
    let shown =
      list.matched > list.nodes.count
      ? "\(list.nodes.count) of \(list.matched) nodes, --limit shows more" : "\(list.nodes.count) nodes"
    return table.lines(style: style) + [style.text(shown, .faint)]
  }

  /// Everything known of a node, by name of the figure; empty where it is not known.
  static func figures(_ node: NodeReport) -> [(name: String, value: String)] {
    [
      ("node", node.id), ("state", node.state.rawValue), ("factory", node.factory ?? ""), ("hall", node.hall ?? ""),
      ("rack", node.rack ?? ""), ("allocation", node.allocation ?? ""), ("gpus", String(node.gpus)),
      ("last_tick", node.lastTickUnixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) } ?? ""),
      ("skew_ms", node.skewMilliseconds.map(String.init) ?? ""), ("agent_version", node.agentVersion ?? ""),
      ("address", node.address ?? ""), ("public_key", node.publicKey ?? ""),
      ("enrolled", node.enrolledUnixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) } ?? ""),
      ("revoked", node.revokedUnixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) } ?? ""),
      ("remark", node.remark ?? ""),
    ]
  }

  static func csv(_ nodes: [NodeReport]) -> String {
    let header = figures(NodeReport(id: "", state: .missing)).map(\.name)
    return CSVText.line(header) + nodes.map { CSVText.line(figures($0).map(\.value)) }.joined()
  }

  /// Prints one node in the wanted form; `text` is the answer as it came.
  static func printOne(_ node: NodeReport, _ text: String, _ format: OutputFormat) {
    switch format {
    case .json: StandardOutput.write(text)
    case .csv: StandardOutput.write(csv([node]))
    case .table:
      for (name, value) in figures(node) where !value.isEmpty {
        let label = name.split(separator: "_").joined(separator: " ")
        let padding = String(repeating: " ", count: max(1, 15 - label.count))
        StandardOutput.print(label + padding + TextTable.withoutControls(value))
      }
    }
  }

  private static func time(_ unixMilliseconds: Int64?) -> String {
    unixMilliseconds.map { TimeText.rfc3339(unixMilliseconds: $0) } ?? UnitText.unknown
  }

  private static func emphasis(of state: NodeState) -> Emphasis {
    switch state {
    case .connected: .none
    case .silent: .alarm
    case .missing, .revoked: .warning
    }
  }
}
