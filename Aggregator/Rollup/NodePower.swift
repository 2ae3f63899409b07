/// IT power of one node at one tick, split by how it is known.
///
/// Best first: the node's own meter; what the machine's controller says, unless its GPUs or boards alone draw more by
/// now; its boards, which carry GPUs and processors, and are counted once each; its GPUs.
/// What the last two leave out is scaled by the model's share, and GPUs that do not answer are assumed to draw what they
/// drew when all of them last did.
struct NodePower {
  var measured: Int64 = 0
  var scaled: Int64 = 0
  var missing: Int64 = 0
  /// The GPUs' own part of `missing`.
  var missingGPU: Int64 = 0
  var estimatedGPUs: Int64 = 0

  var total: Int64 { measured &+ scaled &+ missing }

  /// - Parameter machine: what the machine's controller says of `time`, milliwatts.
  init(_ activity: RowKernel.Activity, _ member: borrowing RollupMember, machine: Int64?, at time: Int64) {
    if activity.nodeMilliwatts != RowKernel.absent {
      measured = activity.nodeMilliwatts
      return
    }
    measured = activity.gpuMilliwatts
    if activity.moduleMilliwatts != RowKernel.absent { measured = max(measured, activity.moduleMilliwatts) }
    if let machine {
      measured = max(measured, machine)
      return
    }
    let node = member.traits.nodeMilliwatts(gpuMilliwatts: activity.gpuMilliwatts)
    scaled = max(0, node &- measured)
    let silentGPUs = Int64(member.gpus) &- activity.gpusWithPower
    guard silentGPUs > 0, member.fullTick != .min,
      MissingEstimate.isCurrent(ageMilliseconds: time &- member.fullTick)
    else { return }
    estimatedGPUs = silentGPUs
    missingGPU = member.fullGPUMilliwatts &* silentGPUs / Int64(member.gpus)
    missing = member.traits.nodeMilliwatts(gpuMilliwatts: missingGPU)
  }
}
