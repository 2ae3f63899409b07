import BongsuCodec
import BongsuModel
import BongsuTestKit
import Testing

/// Recordings of real machines through the codec. They differ in rate, resolution and hardware on purpose.
@Suite("Recorded traces", .enabled(if: RecordedData.isPresent, "needs the recordings of shared/data"))
struct RecordedTraceTests {
  @Test("every recorded trace comes back bit for bit, at every block length", arguments: RecordedData.files)
  func roundTrip(file: String) throws {
    var encoder = BlockEncoder()
    var decoder = BlockDecoder()
    for trace in try RecordedTrace.read(file) {
      let recorded = try RecordedRows(trace)
      let shape = BlockShape(recorded.layout)
      for ticks in [1, 10, 60, 120, 600] {
        for block in recorded.blocks(ticks: ticks) {
          let payload = try encode(block, shape, &encoder)
          let output = try decode(payload, shape, base: block.base, &decoder)
          #expect(output.rows == block.rows, "\(file) \(trace.run) \(trace.node) in blocks of \(ticks)")
        }
      }
    }
  }

  @Test("lz4 is chosen on recorded traces where it shrinks, and never where it does not")
  func compression() throws {
    var encoder = BlockEncoder()
    print("file                              block  samples    plain B  chosen B  lz4 blocks  saved")
    var chosenAnywhere = 0
    for file in RecordedData.files {
      let traces = try RecordedTrace.read(file).map { try RecordedRows($0) }
      for ticks in [1, 10, 60, 120, 600] {
        var line = Line()
        for recorded in traces {
          let shape = BlockShape(recorded.layout)
          for block in recorded.blocks(ticks: ticks) { try line.add(block, shape, &encoder) }
        }
        print(line.text(file, ticks))
        #expect(line.chosenBytes <= line.plainBytes)
        if let ceiling = Self.ceilings[file]?[ticks] { #expect(line.bytesPerSample <= ceiling, "\(file) at \(ticks)") }
        chosenAnywhere += line.compressed
      }
    }
    #expect(chosenAnywhere > 0)
  }

  @Test(
    "bytes per sample of each recorded metric, for FORMAT.md",
    .enabled(if: environment("BONGSU_CODEC_TABLE") != nil, "set BONGSU_CODEC_TABLE to print the table"))
  func metricTable() throws {
    var encoder = BlockEncoder()
    let lengths = [1, 10, 60, 120, 600]
    for file in RecordedData.files {
      let traces = try RecordedTrace.read(file)
      for metric in traces.first?.metrics ?? [] {
        var cells: [String] = []
        for ticks in lengths {
          var line = Line()
          for trace in traces {
            let recorded = try RecordedRows(trace, only: metric)
            let shape = BlockShape(recorded.layout)
            for block in recorded.blocks(ticks: ticks) { try line.add(block, shape, &encoder) }
          }
          // Header and map are the block's, not the metric's.
          let bytes = line.chosenBytes - line.blocks * (ticks == 1 ? 2 : ticks < 128 ? 3 : 4)
          cells.append(line.samples == 0 ? "-" : "\(Double(bytes * 1000 / line.samples) / 1000)")
        }
        print("| \(file) | \(metric) | \(cells.joined(separator: " | ")) |")
      }
    }
  }

  /// Bytes per sample that a change of the encoder must not exceed: a few percent above what was measured.
  private static let ceilings: [String: [Int: Double]] = [
    "gpu-bench-single.csv.gz": [1: 0.57, 120: 0.16],
    "gpu-nvml-mw-4gpu.csv.gz": [1: 1.20, 120: 0.80],
    "gpu-train-nanogpt-8gpu.csv.gz": [1: 0.50, 10: 0.50, 120: 0.37],
    "node-infer-a100-3psu.csv.gz": [1: 1.57, 120: 0.69],
    "node-train-smc-h100.csv.gz": [1: 4.36, 120: 1.58],
  ]

  private struct Line {
    var samples = 0
    var plainBytes = 0
    var chosenBytes = 0
    var compressed = 0
    var blocks = 0

    var bytesPerSample: Double { Double(chosenBytes) / Double(max(samples, 1)) }

    mutating func add(_ block: BlockInput, _ shape: BlockShape, _ encoder: inout BlockEncoder) throws {
      encoder.isCompressing = false
      plainBytes += try encode(block, shape, &encoder).count
      encoder.isCompressing = true
      let payload = try encode(block, shape, &encoder)
      chosenBytes += payload.count
      samples += block.rows.count
      blocks += 1
      compressed += payload[0] & 8 != 0 ? 1 : 0
    }

    func text(_ file: String, _ ticks: Int) -> String {
      func column(_ value: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - value.count)) + value
      }
      let saved = Double((plainBytes - chosenBytes) * 1000 / max(plainBytes, 1)) / 10
      let perSample = (bytesPerSample * 1000).rounded() / 1000
      return file + String(repeating: " ", count: max(0, 32 - file.count)) + column("\(ticks)", 7)
        + column("\(samples)", 9) + column("\(plainBytes)", 11) + column("\(chosenBytes)", 10)
        + column("\(compressed)/\(blocks)", 12) + column("\(saved) %", 8) + column("\(perSample) B/sample", 16)
    }
  }
}
