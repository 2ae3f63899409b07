import BongsuQuery
import BongsuSeries

/// libFuzzer's entry: reads the input as an expression. What is refused must name a place in it; what is accepted must be
/// accepted again as it is printed, and must be evaluated or refused over a few series, within limits.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard count >= 1, let start = unsafe start else { return 0 }
  var input: [UInt8] = []
  // SAFETY: the fuzzer hands over `count` readable bytes that outlive the call.
  for index in 0..<count { input.append(unsafe start[index]) }
  let source = String(decoding: input, as: UTF8.self)
  _ = try? Parser.parseSelector(source)
  _ = try? Parser.parseMetric(source)
  _ = try? SeriesDescription(source)
  _ = try? DurationText.parse(source)
  do throws(ParseFailure) {
    check(try Parser.parse(source), source)
  } catch {
    guard error.offset >= 0, error.offset <= source.utf8.count, error.line > 0, error.column > 0 else {
      fatalError("the place \(error) lies outside of the expression")
    }
  }
  return 0
}

private func check(_ expression: Expression, _ source: String) {
  let printed = expression.description
  // Printed forms are longer than what they came from, and may pass the limit on length.
  if printed.utf8.count <= QueryLimits.expressionBytesMax, (try? Parser.parse(printed)) == nil {
    fatalError("accepted, but not as it is printed: \(printed)")
  }
  _ = expression.formatted
  var engine = QueryEngine()
  engine.options.samplesMax = 20_000
  engine.options.timeout = .milliseconds(100)
  _ = try? engine.instant(expression, at: 300_000, over: series)
  _ = try? engine.range(expression, from: 0, through: 120_000, step: 30_000, over: series)
}

/// A gauge with gaps and ends, a counter with a reset, and a histogram.
private let series: MemorySeries = {
  var series = MemorySeries()
  func add(_ name: String, _ labels: [(String, String)], _ values: [Double?]) {
    let set = LabelSet(metricName: name, labels: labels.map { Label(name: $0.0, value: $0.1) })
    for (index, value) in values.enumerated() {
      if let value { series.append(set, timestamp: Int64(index) * 30_000, value: value) }
    }
  }
  add("m", [("a", "x"), ("b", "1")], [1, nil, -2.5, .nan, 4, StaleMarker.value, .infinity, 0])
  add("m", [("a", "y"), ("b", "2")], [1, 2, 3, 4, 5, 6, 7, 8])
  add("n", [("a", "x")], [5, 5, 5, 5, 5, 5, 5, 5])
  add("c", [("a", "x")], [0, 10, 20, 5, 15, 25, 35, 45])
  for (le, factor) in [("0.1", 1.0), ("1", 2), ("+Inf", 3)] {
    add("h_bucket", [("le", le)], (0..<8).map { Double($0) * factor })
  }
  return series
}()
