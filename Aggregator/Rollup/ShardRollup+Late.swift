import BongsuFleet
public import BongsuModel

/// A silence of a node that late rows may fill: what is needed to put energy and estimates right when they do.
///
///     … live rows │ silence: estimated                        │ live rows …
///                 └ silentAfter      └ chainTick (late rows)  └ until
struct Silence: Sendable {
  /// Newest tick before it, and what the estimates of closed ticks started from.
  let silentAfter: Int64
  let before: RollupMember
  /// First tick in time after it; `Int64.max` while it lasts.
  var until = Int64.max
  /// Newest tick whose counters are known so far, and those counters.
  var chainTick: Int64
  var counters: [EnergyCounter.Reading]
  /// Counters before the silence and of the row at `until`, and what each GPU was counted there.
  let countersBefore: [EnergyCounter.Reading]
  var countersAtEnd: [EnergyCounter.Reading] = []
  var energyAtEnd: [Int64] = []
}

/// Corrections of one closed tick.
struct LateCells: Sendable {
  private(set) var baseByLeaf: [Int32: Int] = [:]
  var words: [Int64] = []
  var meterReadings: [Int32: Int64] = [:]

  /// Where the cell of `leaf` begins, made when it is new.
  mutating func base(_ leaf: Int) -> Int {
    if let base = baseByLeaf[Int32(leaf)] { return base }
    let base = words.count
    baseByLeaf[Int32(leaf)] = base
    words.append(contentsOf: CellLayout.empty)
    return base
  }
}

extension ShardRollup {
  /// Adds a row of a tick that is closed already. The correction is handed out by ``takeLate()``: adding it to the tick's
  /// frame gives what would have been there had the row arrived in time, energy and estimates included.
  ///
  /// The caller has dropped duplicates; rows of one member come in the order of their ticks.
  public mutating func addLate(_ member: MemberNumber, at tick: Tick, row: borrowing Span<Int64>) {
    let position = Int(member.position)
    if members[position].isController {
      _ = noteController(position, at: tick.unixMilliseconds, row)
      return
    }
    if let meter = members[position].meter { return addLateReading(of: meter, position, at: tick, row) }
    let time = (tick.unixMilliseconds + step - 1).flooredDivision(by: step) * step
    var estimate: Int64 = 0
    var gpuEstimate: Int64 = 0
    var estimatedGPUs: Int64 = 0
    var joules: Int64 = 0
    let interval = members[position].intervalMilliseconds
    if members[position].eraFrom > time || members[position].eraUntil <= time { enterEra(position, at: time) }
    if let index = silence(of: position, around: time) {
      let silence = gaps[Int32(position)]![index]
      // A member whose first rows are late has no row before the silence.
      let age = silence.silentAfter == .min ? 0 : time - silence.silentAfter
      if silence.silentAfter != .min && MissingEstimate.isCurrent(ageMilliseconds: age)
        && members[position].expectedGPUs > 0
      {
        estimate = silence.before.estimate(ageMilliseconds: age)
        gpuEstimate = silence.before.gpuEstimate(ageMilliseconds: age)
        estimatedGPUs = silence.before.lastGPUs
      }
      joules = chain(position, index, at: time, row)
    }
    let program = programs[members[position].program]
    let activity = RowKernel.activity(row, program.offsets, busyMilliwatts: members[position].traits.busyMilliwatts)
    let isKnown = members[position].node != nil
    let leaf = members[position].leaf
    // A slow member's row stands for every rollup tick until its next one.
    let repetitions = members[position].pace == .slow ? max(1, interval / step) : 1
    for repetition in 0..<repetitions {
      let target = time + repetition * step
      guard target <= closedThrough else { break }
      var power = NodePower(
        activity, members[position], machine: controllerMilliwatts(position, at: target), at: target)
      power.missing &-= estimate
      power.missingGPU &-= gpuEstimate
      power.estimatedGPUs &-= estimatedGPUs
      let base = late[target, default: LateCells()].base(leaf)
      // Take the cells out, so that adding to them copies nothing.
      var cells = late.removeValue(forKey: target)!
      var words = cells.words.mutableSpan
      var noCounters = MutableSpan<UInt32>()
      RowKernel.addGauges(row, program.columns.span, to: &words, at: base, counters: &noCounters, at: -1)
      RowKernel.addFields(activity, power, repetition == 0 ? joules : 0, members[position], to: &words, at: base)
      if !isKnown && estimatedGPUs > 0 {
        // The closed tick has expected it already, when it was estimated.
        cells.words[base + CellLayout.field(.expectedGPUs)] &-= members[position].expectedGPUs
      }
      late[target] = cells
      if keepsSketches { sketches.addLate(row, program.columns.span, leaf: leaf, at: target) }
    }
  }

  /// A meter's reading replaces what was shown at its tick.
  private mutating func addLateReading(
    of meter: MeterIndex, _ position: Int, at tick: Tick, _ row: borrowing Span<Int64>
  ) {
    let offset = programs[members[position].program].offsets.nodePower
    guard offset >= 0, row[offset] != RowKernel.absent else { return }
    let time = (tick.unixMilliseconds + step - 1).flooredDivision(by: step) * step
    late[time, default: LateCells()].meterReadings[meter.rawValue] = row[offset]
  }

  /// Corrections since the last call, ascending by tick; each is added to what the tick had before.
  public mutating func takeLate() -> [LeafFrame] {
    let frames = late.sorted { $0.key < $1.key }.map { time, cells in
      var frame = LeafFrame(tick: Tick(unixMilliseconds: time))
      for (leaf, base) in cells.baseByLeaf.sorted(by: { $0.key < $1.key }) {
        frame.leaves.append(leaf)
        frame.words.append(contentsOf: cells.words[base..<base + CellLayout.words])
      }
      frame.meterReadings = cells.meterReadings.sorted { $0.key < $1.key }.map { (meter: $0.key, milliwatts: $0.value) }
      return frame
    }
    late.removeAll(keepingCapacity: true)
    return frames
  }

  /// Remembers a silence that ends with a row in time, before that row is counted.
  mutating func endSilence(_ position: Int, at time: Int64) {
    let key = Int32(position)
    var silences = gaps[key] ?? []
    if let open = silences.indices.last, silences[open].until == .max {
      // Late rows came first: what they brought is known already.
      silences[open].until = time
      let base = members[position].counterBase
      for gpu in 0..<members[position].gpus { counters[base + gpu] = silences[open].counters[gpu] }
      members[position].counterTick = silences[open].chainTick
    } else {
      silences.append(newSilence(position))
      silences[silences.count - 1].until = time
    }
    gaps[key] = Array(silences.suffix(Limits.energyGapsMax))
    members[position].endsSilence = true
  }

  private func newSilence(_ position: Int) -> Silence {
    let member = members[position]
    let known = Array(counters[member.counterBase..<member.counterBase + member.gpus])
    return Silence(
      silentAfter: member.lastTick, before: member, chainTick: member.counterTick, counters: known,
      countersBefore: known)
  }

  /// Notes what the row that ends a silence will count, before it is counted.
  mutating func noteSilenceEnd(_ position: Int, at time: Int64, _ row: borrowing Span<Int64>) {
    let key = Int32(position)
    guard let index = gaps[key]?.lastIndex(where: { $0.until == time }), var silence = gaps[key]?[index] else { return }
    let member = members[position]
    let offsets = programs[member.program].offsets
    let milliwattsMax = member.traits.gpuMilliwattsMax
    for gpu in 0..<member.gpus {
      let counter = EnergyCounter.Reading(
        value: offsets.energy >= 0 ? row[offsets.energy + gpu] : RowKernel.absent, time: time)
      let power = offsets.power >= 0 ? row[offsets.power + gpu] : RowKernel.absent
      let integrated = power == RowKernel.absent ? 0 : power &* member.intervalMilliseconds / 1000
      let known = silence.counters[gpu]
      silence.countersAtEnd.append(counter)
      silence.energyAtEnd.append(
        counter.isAbsent
          ? 0
          : known.isAbsent
            ? integrated : EnergyCounter.millijoules(from: known, to: counter, milliwattsMax: milliwattsMax))
    }
    gaps[key]![index] = silence
  }

  /// The silence that `time` lies in; a new one when the member has been silent since before `time`.
  private mutating func silence(of position: Int, around time: Int64) -> Int? {
    let key = Int32(position)
    if let index = gaps[key]?.firstIndex(where: { $0.silentAfter < time && time < $0.until }) { return index }
    guard time > members[position].lastTick else { return nil }
    var silences = gaps[key] ?? []
    silences.append(newSilence(position))
    gaps[key] = Array(silences.suffix(Limits.energyGapsMax))
    return gaps[key]!.count - 1
  }

  /// Energy of a late row. What the row that ended the silence had counted for both is taken from that row, so that the
  /// sum stays what the counters say.
  private mutating func chain(
    _ position: Int, _ index: Int, at time: Int64, _ row: borrowing Span<Int64>
  ) -> Int64 {
    var silence = gaps[Int32(position)]![index]
    guard time > silence.chainTick else { return 0 }
    let member = members[position]
    let milliwattsMax = member.traits.gpuMilliwattsMax
    let before = silence.counters
    let joules = EnergyCounter.advance(
      row, programs[member.program].offsets, &silence.counters, at: 0, time: time, milliwattsMax: milliwattsMax,
      interval: member.intervalMilliseconds)
    silence.chainTick = time
    if !silence.countersAtEnd.isEmpty {
      var correction: Int64 = 0
      for gpu in silence.counters.indices where !silence.counters[gpu].isAbsent {
        let counter = silence.counters[gpu]
        if !silence.countersAtEnd[gpu].isAbsent {
          let atEnd = EnergyCounter.millijoules(
            from: counter, to: silence.countersAtEnd[gpu], milliwattsMax: milliwattsMax)
          correction &+= atEnd &- silence.energyAtEnd[gpu]
          silence.energyAtEnd[gpu] = atEnd
        } else if !before[gpu].isAbsent && before[gpu] != counter {
          correction &-= passOn(counter, from: before[gpu], gpu, position)
        }
      }
      if correction != 0 { correct(position, at: silence.until, by: correction) }
    }
    gaps[Int32(position)]![index] = silence
    return joules
  }

  /// The row that ended the silence had no counter of this GPU: a later one spans the silence. While it has not come, it
  /// will count from here. After that it has counted the late row's energy too, which is returned, for the end of the
  /// silence to give up.
  private mutating func passOn(
    _ counter: EnergyCounter.Reading, from before: EnergyCounter.Reading, _ gpu: Int, _ position: Int
  ) -> Int64 {
    let place = members[position].counterBase + gpu
    if counters[place] == before {
      counters[place] = counter
      return 0
    }
    return EnergyCounter.millijoules(
      from: before, to: counter, milliwattsMax: members[position].traits.gpuMilliwattsMax)
  }

  /// Moves energy away from a tick that has it, open or closed.
  private mutating func correct(_ position: Int, at time: Int64, by millijoules: Int64) {
    let leaf = plan.leaf(of: members[position].node, at: Tick(unixMilliseconds: time))
    if time > closedThrough {
      let base = openCell(leaf, at: time)
      words[base + CellLayout.field(.gpuEnergy)] &+= millijoules
    } else {
      var cells = late.removeValue(forKey: time) ?? LateCells()
      let base = cells.base(leaf)
      cells.words[base + CellLayout.field(.gpuEnergy)] &+= millijoules
      late[time] = cells
    }
  }
}
