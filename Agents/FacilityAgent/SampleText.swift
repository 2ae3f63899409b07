import BongsuModel

/// What all endpoints said, for a terminal.
enum SampleText {
  static func of(_ configuration: FacilityConfiguration, _ board: ReadingBoard) -> String {
    var text = ""
    for (number, endpoint) in configuration.endpoints.enumerated() {
      text += "\(endpoint.name)\n"
      var isEmpty = true
      for node in endpoint.nodes {
        guard let reading = board.reading(of: node, from: number, notBefore: .min) else { continue }
        isEmpty = false
        text += "  \(node)\n"
        text += lines(reading.node, indent: "    ")
        for (key, gpu) in reading.gpus.sorted(by: { ($0.value.index, $0.key) < ($1.value.index, $1.key) }) {
          text += "    gpu \(gpu.index) \(key) \(gpu.model)\n" + lines(gpu.values, indent: "      ")
        }
      }
      if isEmpty { text += "  nothing\n" }
    }
    return text
  }

  private static func lines(_ values: [MetricID: Int64], indent: String) -> String {
    values.sorted { $0.key < $1.key }.map { id, value in
      guard let metric = MetricCatalogue.metric(id) else { return "" }
      return "\(indent)\(metric.name) \(metric.unit.exposed(value))\n"
    }.joined()
  }
}
