import BongsuSeries
import QueryOracle
import Testing

@testable import BongsuQuery

@Suite("Sliding windows")
struct SlidingWindowTests {
  /// How the values of a series come about.
  enum Course: String, CaseIterable, Sendable {
    case watts, counter, cancelling, sparse, zero, wild, broken

    func value(_ index: Int, _ random: inout SeededRandom) -> Double {
      switch self {
      case .watts: Double(Int.random(in: 90_000...1_000_000, using: &random)) / 1000
      case .counter: 1e12 + Double(index) * 417.25
      case .cancelling: Double.random(in: -1...1, using: &random)
      case .sparse: Int.random(in: 0..<50, using: &random) == 0 ? 1 : 0
      case .zero: index % 2 == 0 ? 0 : -0.0
      case .wild: Double.random(in: 1...10, using: &random) * [1e-300, 1e-9, 1, 1e15, 1e290][index / 60 % 5]
      case .broken: [Double.nan, .infinity, -.infinity, 1, 2, 3][Int.random(in: 0..<6, using: &random)]
      }
    }
  }

  @Test(
    "sums, means and extremes of moving windows are those of the samples taken one by one",
    arguments: Course.allCases)
  func equality(course: Course) throws {
    var random = SeededRandom(seed: UInt64(course.rawValue.utf8.reduce(7) { $0 * 31 + Int($1) }))
    for _ in 0..<20 {
      let count = Int.random(in: 1...700, using: &random)
      let values = (0..<count).map { course.value($0, &random) }
      let timestamps = (0..<count).map { Int64($0) * 1000 }
      let length = Int.random(in: 1...400, using: &random)
      for name in ["sum_over_time", "avg_over_time", "min_over_time", "max_over_time"] {
        let function = try #require(RangeFunctions.named(name))
        var sliding = try #require(SlidingWindow(function: name))
        // Twice, as for two series.
        for _ in 0..<2 {
          sliding.begin(values)
          var window = SampleWindow(timestamps: timestamps, values: values, resets: [])
          var step = 0
          while step < count {
            window.upper = step + 1
            window.lower = max(0, step + 1 - length)
            let expected = try #require(try function(window))
            if let found = sliding.value(window.lower, window.upper) {
              let isSame = found == expected || abs(found - expected) <= 1e-11 * abs(expected)
              #expect(isSame, "\(name) of \(course) at \(step): \(found) for \(expected)")
            }
            step += Int.random(in: 1...5, using: &random)
          }
        }
      }
    }
  }

  @Test("what is usual needs no second way, what rounding could spoil takes it")
  func ways() throws {
    var mean = try #require(SlidingWindow(function: "avg_over_time"))
    mean.begin((0..<600).map { 300 + Double($0 % 7) })
    #expect((300..<600).allSatisfy { mean.value($0 - 300, $0) != nil })
    mean.begin([1, .nan, 1])
    #expect(mean.value(0, 1) == nil)
    mean.begin([1e300, 1e300, -1e300, 1])
    #expect(mean.value(3, 4) == nil)
    var sum = try #require(SlidingWindow(function: "sum_over_time"))
    sum.begin([1e16, 1, -1e16, 1])
    #expect(sum.value(3, 4) == nil)
    sum.begin([.greatestFiniteMagnitude, .greatestFiniteMagnitude])
    #expect(sum.value(0, 1) == nil)
    sum.begin([0, 0, 0])
    #expect(sum.value(1, 3) == 0)
    var most = try #require(SlidingWindow(function: "max_over_time"))
    most.begin([.nan, .nan, 4, .nan, 2])
    #expect(most.value(0, 2) == nil)
    #expect(most.value(1, 4) == 4)
    #expect(most.value(3, 5) == 2)
    #expect(SlidingWindow(function: "rate") == nil)
  }
}
