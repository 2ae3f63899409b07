public import BongsuAPI
public import BongsuReports

extension FixtureAggregator {
  public func topRows(for request: TopRequest, within scope: AccessScope) async throws -> TopRows {
    _ = try await node(named: "")
    let filter = request.filter
    let all = cells
    if let factory = filter.factory, !all.contains(where: { $0.factory == factory }) {
      throw APIError.unknownName("factory", factory, known: ["naver-sejong", "sk-ulsan"])
    }
    let cells = all.filter { cell in
      (filter.factory == nil || cell.factory == filter.factory)
        && (filter.hall == nil || cell.hall == filter.hall || "\(cell.factory)/\(cell.hall)" == filter.hall)
        && (filter.rack == nil || cell.rack == filter.rack)
        && (filter.allocation.map { TopFilter.allocation(cell.allocation, isWithin: $0) } ?? true)
        && scope.includes(cell.labels)
    }
    var rows: [String: TopRow] = [:]
    for cell in cells {
      for key in keys(of: cell, at: request.level)
      where request.level != .allocations || scope.covers("allocation", key.id) {
        var row = rows[key.id] ?? key
        row.measuredMilliwatts += cell.measured
        row.estimatedMilliwatts += cell.estimated
        row.utilizationPermilleSum += cell.permille * Int64(cell.reporting)
        row.utilizationSamples += cell.reporting
        row.gpusExpected += cell.expected
        row.gpusReporting += cell.reporting
        row.gpusBusy += cell.busy
        if cell.reporting > 0 { row.energyMillijoules = (row.energyMillijoules ?? 0) + cell.measured * 60 }
        rows[row.id] = row
      }
    }
    return TopRows(
      closedTickUnixMilliseconds: Self.tickUnixMilliseconds,
      energySinceUnixMilliseconds: Self.tickUnixMilliseconds - 60_000, rows: Array(rows.values))
  }

  /// The empty rows of `level` that `cell` adds to.
  private func keys(of cell: Cell, at level: TopLevel) -> [TopRow] {
    func row(_ id: String, _ name: String, hall: Bool = false, rack: Bool = false) -> TopRow {
      var row = TopRow(id: id, name: name)
      row.factory = cell.factory
      if hall { row.hall = cell.hall }
      if rack { row.rack = cell.rack }
      return row
    }
    switch level {
    case .nation: return [TopRow(id: "kr", name: "대한민국")]
    case .factories: return [row(cell.factory, cell.factory == "sk-ulsan" ? "울산 SK" : cell.factory)]
    case .halls: return [row("\(cell.factory)/\(cell.hall)", cell.hall, hall: true)]
    case .racks: return [row("\(cell.factory)/\(cell.hall)/\(cell.rack)", cell.rack, hall: true, rack: true)]
    case .nodes, .gpus:
      var node = row("\(cell.factory)-\(cell.rack)-\(cell.allocation)", cell.rack + "-n1", hall: true, rack: true)
      node.allocation = cell.allocation
      node.model = "B200"
      return [node]
    case .allocations:
      let parts = cell.allocation.split(separator: "/")
      return parts.indices.map { depth in
        let path = parts[...depth].joined(separator: "/")
        let parent = depth == 0 ? nil : parts[..<depth].joined(separator: "/")
        var row = TopRow(id: path, name: String(parts[depth]), depth: depth, parent: parent)
        row.allocation = path
        row.gpusGranted = 1000
        return row
      }
    }
  }
}
