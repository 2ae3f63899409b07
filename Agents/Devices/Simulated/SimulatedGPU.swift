import BongsuModel

/// What the GPUs of a simulated node share at one tick.
struct SimulatedMoment {
  /// The tick and the instant from which its means are taken, Unix milliseconds.
  let time: Int64
  let before: Int64
  let epochStart: Int64
  /// The jobs at both instants.
  let slot: SimulatedSchedule.Slot
  let slotBefore: SimulatedSchedule.Slot
  /// Integrals of the level at both instants.
  let work: Int64
  let workBefore: Int64
  /// Mean level over the tick, its extremes over quarters of the tick, and its mean over the time that temperatures
  /// follow, thousandths.
  let level: Int64
  let levelMin: Int64
  let levelMax: Int64
  let warmLevel: Int64
}

/// One generated GPU.
struct SimulatedGPU: Sendable {
  /// Figures of the product that all its GPUs share, in wire units.
  struct Limits: Sendable {
    let powerLimit: Int64
    let memoryClock: Int64
    let smClock: Int64
    let memoryKibibytes: Int64

    init(_ model: GPUModel) {
      powerLimit = Int64(model.powerLimitWatts) * 1000
      memoryClock = Int64(model.memoryClockMegahertz)
      smClock = Int64(model.smClockMegahertz)
      memoryKibibytes = Int64(model.memoryMebibytes) * 1024
    }
  }

  /// The generated values of one tick, in wire units.
  struct Reading {
    var power: Int64
    var powerMin: Int64
    var powerMax: Int64
    var energy: Int64
    var utilization: Int64
    var memoryUtilization: Int64
    var memoryUsed: Int64
    var temperature: Int64
    var memoryTemperature: Int64
    var smClock: Int64
    var reasons: Int64
  }

  /// Temperatures follow the power of this long.
  static let thermalMilliseconds: Int64 = 30_000

  private let seed: UInt64
  private let idleMilliwatts: Int64
  /// From idle to the power of level 1000, which is just below the limit.
  private let rangeMilliwatts: Int64
  private let ambientDegrees: Int64

  init(seed: UInt64, model: GPUModel) {
    self.seed = seed
    let idle = Int64(model.idleWatts) * (980 + Int64(mix(seed, 1) % 41))
    let top = Int64(model.powerLimitWatts) * (968 + Int64(mix(seed, 2) % 21))
    idleMilliwatts = idle
    rangeMilliwatts = top - idle
    // One GPU in sixteen sits in a warm place.
    ambientDegrees = 26 + Int64(mix(seed, 3) % 5) + (mix(seed, 4) % 16 == 0 ? 12 : 0)
  }

  /// A UUID in the driver's form.
  var uuid: String {
    let high = mix(seed, 21)
    let low = mix(seed, 22)
    func hex(_ value: UInt64, _ digits: Int) -> String {
      let text = String(value & (digits == 16 ? .max : (1 << UInt64(digits * 4)) - 1), radix: 16)
      return String(repeating: "0", count: digits - text.utf8.count) + text
    }
    return "GPU-\(hex(high >> 32, 8))-\(hex(high >> 16, 4))-\(hex(high, 4))-\(hex(low >> 48, 4))-\(hex(low, 12))"
  }

  /// Everything about this GPU at `moment`.
  func reading(_ moment: SimulatedMoment, _ limits: Limits) -> Reading {
    let energy = self.energy(at: moment.time, moment.epochStart, moment.work, moment.slot)
    let energyBefore = self.energy(at: moment.before, moment.epochStart, moment.workBefore, moment.slotBefore)
    let power = (energy - energyBefore) * 1000 / max(moment.time - moment.before, 1)
    let roll = mix(seed, UInt64(bitPattern: moment.time))
    // Within a tick the power of a busy GPU swings by a few percent besides what the job's course does.
    let swing = moment.level == 0 ? 150 : rangeMilliwatts / 1000 * moment.level / 1000
    let low = idleMilliwatts + rangeMilliwatts * moment.levelMin / 1000 - swing * Int64(roll & 31)
    let high = idleMilliwatts + rangeMilliwatts * moment.levelMax / 1000 + swing * Int64(roll >> 5 & 31)
    let warmth = (idleMilliwatts + rangeMilliwatts * moment.warmLevel / 1000) * 46 / limits.powerLimit
    let temperature = ambientDegrees + warmth
    let isCapped = power > limits.powerLimit / 100 * 93
    return Reading(
      power: power, powerMin: min(power, max(low, idleMilliwatts / 2)),
      powerMax: max(power, min(high, limits.powerLimit / 100 * 104)), energy: energy,
      utilization: Self.utilization(roll, moment), memoryUtilization: Self.memoryUtilization(roll, moment),
      memoryUsed: memoryUsed(moment, limits), temperature: temperature * 10,
      memoryTemperature: (temperature + 6 + moment.warmLevel / 200) * 10,
      smClock: smClock(roll, isCapped, moment, limits), reasons: moment.level == 0 ? 0x1 : isCapped ? 0x4 : 0)
  }

  /// The energy counter, millijoules since the epoch began.
  @inline(__always)
  private func energy(
    at time: Int64, _ epochStart: Int64, _ work: Int64, _ slot: SimulatedSchedule.Slot
  ) -> Int64 {
    // Milliwatts × milliseconds are microjoules; the work is in thousandths.
    (idleMilliwatts * 1000 * (time - epochStart) + rangeMilliwatts * work) / 1_000_000 + noise(at: time, slot)
  }

  /// Millijoules by which the counter is off the smooth course: zero at both ends of a slot, so that the sum over time
  /// is zero, and far smaller than what an idle GPU draws, so that the counter never falls.
  @inline(__always)
  private func noise(at time: Int64, _ slot: SimulatedSchedule.Slot) -> Int64 {
    let elapsed = time - slot.start
    let length = slot.end - slot.start
    switch slot.job {
    case .idle: return knots(elapsed, length, 1000, slot.seed, common: 40, rare: 400)
    case .training: return knots(elapsed, length, 1000, slot.seed, common: 500, rare: 6000)
    case .inference:
      return knots(elapsed, length, 1000, slot.seed, common: 3000, rare: 14_000)
        + knots(elapsed, length, SimulatedSchedule.grainMilliseconds, ~slot.seed, common: 60_000, rare: 150_000)
    }
  }

  /// A piecewise linear function through pseudo-random knots `spacing` milliseconds apart, within ±`common` except for
  /// one knot in eight, which is within ±`rare`.
  @inline(__always)
  private func knots(
    _ elapsed: Int64, _ length: Int64, _ spacing: Int64, _ slotSeed: UInt64, common: Int64, rare: Int64
  ) -> Int64 {
    func knot(_ number: Int64) -> Int64 {
      guard number > 0, number * spacing < length else { return 0 }
      let word = mix(seed ^ slotSeed, UInt64(bitPattern: number))
      let span = word & 7 == 0 ? rare : common
      return (Int64(word >> 40) * (2 * span + 1)) >> 24 - span
    }
    let (number, part) = elapsed.quotientAndRemainder(dividingBy: spacing)
    let value = knot(number)
    guard part != 0 else { return value }
    return value + (knot(number + 1) - value) * part / spacing
  }

  /// NVML reports whole percents.
  private static func utilization(_ roll: UInt64, _ moment: SimulatedMoment) -> Int64 {
    guard moment.level > 0 else { return 0 }
    let flicker = roll >> 10 & 31 == 0 ? Int64(roll >> 15 & 3) : 0
    switch moment.slot.job {
    case .idle: return 0
    case .training: return max(min(100, moment.level * 100 / 400) - flicker, 0) * 10
    case .inference: return max(min(100, 20 + moment.level / 10) - Int64(roll >> 15 & 7), 0) * 10
    }
  }

  private static func memoryUtilization(_ roll: UInt64, _ moment: SimulatedMoment) -> Int64 {
    guard moment.level > 0 else { return 0 }
    let flicker = roll >> 20 & 3 == 0 ? Int64(roll >> 22 & 3) - 1 : 0
    return max(moment.level * 48 / 1000 + flicker, 0) * 10
  }

  /// Set by the job, with now and then an allocation that comes and goes.
  private func memoryUsed(_ moment: SimulatedMoment, _ limits: Limits) -> Int64 {
    let share = Int64(mix(seed, moment.slot.seed) % 200)
    switch moment.slot.job {
    case .idle: return 4096 + (share << 4)
    case .training, .inference:
      let minute = mix(seed ^ moment.slot.seed, UInt64(bitPattern: moment.time / 30_000))
      let extra = Int64(minute % 2048) * 1024
      return limits.memoryKibibytes / 1000 * (700 + share) + extra
    }
  }

  private func smClock(_ roll: UInt64, _ isCapped: Bool, _ moment: SimulatedMoment, _ limits: Limits) -> Int64 {
    guard moment.level > 0 else { return 345 }
    guard isCapped else { return limits.smClock }
    // Clocks move in steps of 15 MHz.
    return limits.smClock * 9 / 10 / 15 * 15 - Int64(roll >> 30 & 7) * 15
  }
}
