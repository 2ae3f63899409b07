import BongsuFleet
import BongsuModel
import BongsuRollup
import Testing

@Suite("Course of the demand of meters")
struct DemandCourseTests {
  private static let start = DemandMeterTests.newYear

  private static func at(_ milliseconds: Int) -> Tick {
    Tick(unixMilliseconds: start.unixMilliseconds + Int64(milliseconds))
  }

  private static let always = Limits.tickRange

  private static let known = DemandMeterTests.demand()

  /// An outlook whose forecast is the given power.
  private static func outlook(_ milliwatts: Int64) -> DemandMeter.Outlook? {
    var demand = known
    demand.add(milliwatts: milliwatts, at: start.advanced(by: 1, of: .second), interval: .second)
    return demand.outlook
  }

  /// Ticks each `step` ms, whose forecasts are their numbers.
  private static func filled(
    meters: Int = 1, bytesMax: Int = DemandCourse.bytesMax, ticks: Int, step: Int = 1000
  ) -> DemandCourse {
    var course = DemandCourse(meters: meters, bytesMax: bytesMax)
    for tick in 0..<ticks {
      course.add((0..<meters).map { outlook(Int64(tick * 10 + $0) * 1_000_000) }, at: at(tick * step))
    }
    return course
  }

  private static func seconds(_ entries: [DemandCourse.Entry]) -> [Int] {
    entries.map { Int($0.tick.unixMilliseconds - start.unixMilliseconds) / 1000 }
  }

  @Test("each meter has its own rows, and a range is answered within its bounds")
  func ranges() {
    let course = Self.filled(meters: 3, ticks: 10)
    for meter in 0..<3 {
      let entries = course.entries(of: meter, in: Self.at(2000)...Self.at(4999))
      #expect(Self.seconds(entries) == [2, 3, 4])
      #expect(entries.map { $0.outlook?.forecastMilliwatts } == [20, 30, 40].map { ($0 + Int64(meter)) * 1_000_000 })
    }
    #expect(course.entries(of: 0, in: Self.at(-5000)...Self.at(-1)).isEmpty)
    #expect(course.entries(of: 0, in: Self.at(9001)...Self.at(20_000)).isEmpty)
    #expect(DemandCourse(meters: 1).entries(of: 0, in: Self.always).isEmpty)
  }

  @Test("twenty minutes are kept and no more, after any number of ticks")
  func ring() {
    for ticks in [1, 1200, 1201, 1202, 2401, 3000] {
      let course = Self.filled(ticks: ticks)
      let entries = course.entries(of: 0, in: Self.always)
      #expect(Self.seconds(entries) == Array(max(0, ticks - 1201)..<ticks), "after \(ticks) ticks")
      #expect(entries.last?.outlook == Self.outlook(Int64(ticks - 1) * 10_000_000), "after \(ticks) ticks")
    }
  }

  @Test("rows from before a pause end twenty minutes after their ticks, although there was room for them")
  func pause() {
    var course = Self.filled(ticks: 3)
    course.add([nil], at: Self.at(1_201_000))
    #expect(Self.seconds(course.entries(of: 0, in: Self.always)) == [1, 2, 1201])
    course.add([nil], at: Self.at(9_000_000))
    let entries = course.entries(of: 0, in: Self.always)
    #expect(Self.seconds(entries) == [9000] && entries[0].outlook == nil)
  }

  @Test("of ten ticks a second one makes a row, and a tick that is not newer makes none")
  func thinned() {
    var course = Self.filled(ticks: 50, step: 100)
    #expect(Self.seconds(course.entries(of: 0, in: Self.always)) == [0, 1, 2, 3, 4])
    let row = Self.outlook(1)
    for milliseconds in [4900, 4000, 0] { course.add([row], at: Self.at(milliseconds)) }
    #expect(course.newest == Self.at(4000))
    // The first tick of a second may be missing.
    course.add([row], at: Self.at(5300))
    course.add([row], at: Self.at(5900))
    course.add([row], at: Self.at(6000))
    #expect(Self.seconds(course.entries(of: 0, in: Self.always)).suffix(2) == [5, 6])
  }

  @Test(
    "memory stays within its bound with as many meters as a fleet may have, and the span is whole all the same",
    arguments: [0, 1, 249, 250, 1000, Limits.metersMax])
  func bound(meters: Int) {
    let course = DemandCourse(meters: meters)
    let bytes = course.capacity * meters * MemoryLayout<DemandMeter.Outlook?>.stride
    #expect(bytes <= DemandCourse.bytesMax, "\(bytes) bytes")
    let span = Int64(course.capacity) * course.spacingMilliseconds
    #expect(span >= DemandCourse.spanMilliseconds, "\(course.capacity) rows each \(course.spacingMilliseconds) ms")
    // What an instant query looks back to.
    #expect(course.spacingMilliseconds <= 20_000)
    #expect((course.spacingMilliseconds == 1000) == (meters <= 249))
  }

  @Test("with too many meters for a row a second rows are further apart, and reach as far back")
  func sparse() {
    let row = MemoryLayout<DemandMeter.Outlook?>.stride
    let course = Self.filled(meters: 2, bytesMax: 2 * row * 100, ticks: 4000)
    #expect(course.spacingMilliseconds == 13_000)
    let seconds = Self.seconds(course.entries(of: 1, in: Self.always))
    #expect(zip(seconds, seconds.dropFirst()).allSatisfy { $1 - $0 == 13 })
    #expect((seconds.last ?? 0) - (seconds.first ?? 0) >= 1200 - 13)
    #expect(seconds.count <= 100)
  }
}
