import BongsuModel

/// What the GPUs of one group of nodes do at any time, as a pure function of a seed.
///
/// Nodes with the same seed work on the same jobs and step together, as the GPUs of a training do. Time is cut into
/// *epochs* of four weeks (a driver is reloaded in between, so energy counters start again) and epochs into *slots*,
/// one job each:
///
///     epoch   | slot 0 (training)        | slot 1 (idle) | slot 2 (inference) | …
///     training  setup ▁▁ cycle ▇▇▇▆▇▇▇▆▇▇▂▂ cycle ▇▇▇▇▆▇▇▇▂▂ …      ▆ dip: data stall   ▂ checkpoint
///
/// The level is the share of the way from a GPU's idle power to its power limit, in thousandths. ``work(at:)`` is its
/// integral over time since the epoch began, in closed form: that makes energy counters exact at any instant without
/// having walked there, and mean power over any tick the difference of two of them. The shapes follow recorded runs:
/// power is bimodal, rests for long stretches and moves within one sample by hundreds of watts.
struct SimulatedSchedule: Sendable {
  /// Length of an epoch: whole minutes, so that ticks fall on its borders.
  static let epochMilliseconds: Int64 = 28 * 24 * 3600 * 1000
  /// Slots are whole multiples of this, and so are the knots of noise.
  static let grainMilliseconds: Int64 = 8000

  enum Job: Hashable, Sendable {
    case idle
    case training
    case inference
  }

  let seed: UInt64
  let workload: SimulatedWorkload
  private let epochOffset: Int64
  private let slotMilliseconds: Int64

  private(set) var slot = Slot()
  private(set) var epochStart: Int64 = 0
  private var epochSeed: UInt64 = 0
  private var slotNumber: Int64 = -1
  /// Work of all slots of the epoch before the current one.
  private var workBefore: Int64 = 0

  init(seed: UInt64, workload: SimulatedWorkload) {
    self.seed = seed
    self.workload = workload
    let minute: Int64 = 60_000
    epochOffset = Int64(mix(seed, 1) % UInt64(Self.epochMilliseconds / minute)) * minute
    // Half an hour to four hours.
    slotMilliseconds = (225 + Int64(mix(seed, 2) % 1575)) * Self.grainMilliseconds
    seek(to: 0)
  }

  /// Moves to the slot that holds `time`; borders belong to what ends there. Costs nothing within a slot, one slot's
  /// integral from slot to slot, and a walk over the epoch's slots after a jump.
  mutating func seek(to time: Int64) {
    guard slotNumber < 0 || time <= slot.start || time > slot.end else { return }
    let epochIndex = (time - 1 - epochOffset).flooredDivision(by: Self.epochMilliseconds)
    let start = epochIndex * Self.epochMilliseconds + epochOffset
    let number = (time - 1 - start) / slotMilliseconds
    if slotNumber >= 0, start == epochStart, number == slotNumber + 1 {
      workBefore += slot.work(at: slot.end)
      slotNumber = number
      slot = makeSlot(number)
      return
    }
    epochStart = start
    epochSeed = mix(seed, UInt64(bitPattern: epochIndex))
    workBefore = 0
    for earlier in 0..<number {
      let slot = makeSlot(earlier)
      workBefore += slot.work(at: slot.end)
    }
    slotNumber = number
    slot = makeSlot(number)
  }

  /// Integral of the level since the epoch began, thousandths × milliseconds.
  ///
  /// - Precondition: `time` lies in the current slot or on its borders.
  func work(at time: Int64) -> Int64 { workBefore + slot.work(at: time) }

  private func makeSlot(_ number: Int64) -> Slot {
    let start = epochStart + number * slotMilliseconds
    let end = min(start + slotMilliseconds, epochStart + Self.epochMilliseconds)
    let slotSeed = mix(epochSeed, UInt64(number))
    return Slot(start: start, end: end, seed: slotSeed, job: workload.job(roll: Int(mix(slotSeed, 3) % 1000)))
  }

  /// One job and its course.
  struct Slot: Sendable {
    var start: Int64 = 0
    var end: Int64 = 0
    var seed: UInt64 = 0
    var job = Job.idle

    /// Level of the busy stretch, or the scale of an inference service.
    private var level: Int64 = 0
    private var setup: Int64 = 0
    private var cycle: Int64 = 1
    private var checkpoint: Int64 = 0
    private var checkpointLevel: Int64 = 0
    private var dipEvery: Int64 = 1
    private var dip: Int64 = 0
    private var dipDepth: Int64 = 0

    private static let setupLevel: Int64 = 60

    init() {}

    init(start: Int64, end: Int64, seed: UInt64, job: Job) {
      self.start = start
      self.end = end
      self.seed = seed
      self.job = job
      var stream = seed
      func draw(_ range: ClosedRange<Int64>) -> Int64 {
        stream = mix(stream, 7)
        return range.lowerBound + Int64(stream % UInt64(range.upperBound - range.lowerBound + 1))
      }
      switch job {
      case .idle: break
      case .inference: level = draw(500...1000)
      case .training:
        // Most trainings run close to the limit, some are bound by memory or communication at half of it.
        level = draw(0...3) == 0 ? draw(450...620) : draw(850...985)
        setup = draw(20_000...90_000)
        cycle = draw(180_000...600_000)
        checkpoint = draw(2_000...12_000)
        checkpointLevel = draw(80...350)
        dipEvery = draw(40_000...120_000)
        dip = draw(300...1500)
        dipDepth = level * draw(200...700) / 1000
      }
    }

    /// Integral of the level from the slot's start to `time`.
    func work(at time: Int64) -> Int64 {
      switch job {
      case .idle: 0
      case .inference: (DailyCurve.work(at: time) - DailyCurve.work(at: start)) * level / 1000
      case .training: trainingWork(time - start)
      }
    }

    private func trainingWork(_ elapsed: Int64) -> Int64 {
      guard elapsed > setup else { return elapsed * Self.setupLevel }
      let (cycles, inCycle) = (elapsed - setup).quotientAndRemainder(dividingBy: cycle)
      let busy = cycle - checkpoint
      let busyWork = busy * level - (busy / dipEvery) * dip * dipDepth
      var work = setup * Self.setupLevel + cycles * (busyWork + checkpoint * checkpointLevel)
      guard inCycle < busy else { return work + busyWork + (inCycle - busy) * checkpointLevel }
      let (dips, inBlock) = inCycle.quotientAndRemainder(dividingBy: dipEvery)
      work += inCycle * level - dips * dip * dipDepth
      // The rest of the busy stretch that is shorter than a block has no dip, or the sum above would be wrong.
      guard (dips + 1) * dipEvery <= busy else { return work }
      let position = Int64(mix(seed, UInt64(cycles << 20 | dips)) % UInt64(dipEvery - dip))
      return work - min(max(inBlock - position, 0), dip) * dipDepth
    }
  }
}

/// How busy a public inference service is by hour of the day in Korea (UTC+9), thousandths of its greatest load.
enum DailyCurve {
  /// Load at each full hour; linear in between.
  static let hourly: [Int64] = [
    420, 330, 270, 230, 210, 220, 270, 360, 500, 620, 680, 700, 650, 690, 720, 730, 720, 690, 650, 660, 700, 710, 640,
    530,
  ]
  private static let hourMilliseconds: Int64 = 3_600_000
  private static let zoneMilliseconds: Int64 = 9 * hourMilliseconds

  /// Integral from 1970 up to each full hour of a day, and over the whole day as the last element.
  private static let prefix: [Int64] = {
    var sums: [Int64] = [0]
    for hour in 0..<24 {
      sums.append(sums[hour] + (hourly[hour] + hourly[(hour + 1) % 24]) * hourMilliseconds / 2)
    }
    return sums
  }()

  /// Integral of the load over the time since 1970, thousandths × milliseconds.
  static func work(at time: Int64) -> Int64 {
    let day = 24 * hourMilliseconds
    let local = time + zoneMilliseconds
    let days = local.flooredDivision(by: day)
    let inDay = local - days * day
    let hour = Int(inDay / hourMilliseconds)
    let inHour = inDay % hourMilliseconds
    let slope = hourly[(hour + 1) % 24] - hourly[hour]
    return days * prefix[24] + prefix[hour] + hourly[hour] * inHour
      + slope * inHour * inHour / (2 * hourMilliseconds)
  }
}

/// What kinds of jobs a simulated group of nodes is given.
public enum SimulatedWorkload: String, Hashable, Sendable, CaseIterable {
  /// Mostly training, some inference, some idle time: a busy factory.
  case mixed
  case training
  case inference
  case idle

  func job(roll: Int) -> SimulatedSchedule.Job {
    switch self {
    case .training: .training
    case .inference: .inference
    case .idle: .idle
    case .mixed: roll < 680 ? .training : roll < 860 ? .inference : .idle
    }
  }
}

/// Two words made one well-mixed word (the finaliser of SplitMix64 over their combination).
@inline(__always)
func mix(_ first: UInt64, _ second: UInt64) -> UInt64 {
  var word = first ^ (second &* 0x9E37_79B9_7F4A_7C15 &+ 0x9E37_79B9_7F4A_7C15)
  word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
  word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
  return word ^ (word >> 31)
}
