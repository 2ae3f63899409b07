import BongsuModel

extension FleetBuilder {
  /// Orders the allocation tree, parents before children, and checks that grants fit into each other.
  mutating func collectAllocations() {
    var lineOfPath: [String: Int] = [:]
    var entries: [FleetDocument.AllocationEntry] = []
    for entry in document.allocations {
      if let line = lineOfPath.updateValue(entry.position.line, forKey: entry.path) {
        findings.error(
          entry.position, "allocation '\(entry.path)' is defined again, first on line \(line)",
          remedy: "keep one of the two")
        continue
      }
      entries.append(entry)
    }
    let depth = { (entry: FleetDocument.AllocationEntry) in entry.path.split(separator: "/").count }
    let ordered = entries.enumerated().sorted { left, right in
      (depth(left.element), left.offset) < (depth(right.element), right.offset)
    }.map(\.element)
    for entry in ordered {
      add(entry, depth: depth(entry))
    }
    checkGrants(ordered)
    allocationByPath[FleetTree.unassignedID] = AllocationIndex(allocations.count)
    allocations.append(
      Allocation(
        path: FleetTree.unassignedID, name: "nobody's", parent: nil, depth: 1, grantedGPUs: nil, isInPlan: false,
        budget: nil))
  }

  private mutating func add(_ entry: FleetDocument.AllocationEntry, depth: Int) {
    var parent: AllocationIndex?
    if let slash = entry.path.lastIndex(of: "/") {
      let parentPath = String(entry.path[..<slash])
      parent = allocationByPath[parentPath]
      if parent == nil {
        let guess = EditDistance.nearest(to: parentPath, in: document.allocations.map(\.path))
        findings.error(
          entry.position, "allocation '\(entry.path)' lies in '\(parentPath)', which is unknown",
          remedy: guess.map { "did you mean '\($0)'?" } ?? "define '\(parentPath)' as an allocation too")
        return
      }
      if entry.isOutsidePlan {
        findings.error(
          entry.position, "allocation '\(entry.path)' says outside_plan but lies in '\(parentPath)'",
          remedy: "say it of the top-level allocation; what lies in it follows")
      }
    }
    allocationByPath[entry.path] = AllocationIndex(allocations.count)
    allocations.append(
      Allocation(
        path: entry.path, name: entry.name, parent: parent, depth: depth, grantedGPUs: entry.grantedGPUs,
        isInPlan: parent.map { allocations[$0.position].isInPlan } ?? !entry.isOutsidePlan, budget: entry.budget))
  }

  private func checkGrants(_ entries: [FleetDocument.AllocationEntry]) {
    var grantedBelow: [AllocationIndex: Int] = [:]
    var grantedInPlan = 0
    for allocation in allocations {
      if let parent = allocation.parent {
        grantedBelow[parent, default: 0] += allocation.grantedGPUs ?? 0
      } else if allocation.isInPlan {
        grantedInPlan += allocation.grantedGPUs ?? 0
      }
    }
    for entry in entries {
      guard let index = allocationByPath[entry.path], let granted = allocations[index.position].grantedGPUs,
        let below = grantedBelow[index], below > granted
      else { continue }
      findings.error(
        entry.position, "allocation '\(entry.path)' grants \(below) GPUs to those in it, but holds \(granted)",
        remedy: "lower their granted_gpus or raise its own")
    }
    if let plan = document.planGPUs, grantedInPlan > plan {
      findings.error(
        entries.first?.position ?? .wholeFile,
        "top-level allocations grant \(grantedInPlan) GPUs, plan_gpus is \(plan)",
        remedy: "lower granted_gpus, raise plan_gpus, or mark a holder 'outside_plan: true'")
    }
  }

  /// One expanded membership before it is sorted into its node's span of the table.
  private struct Claim {
    var node: Int
    var membership: Membership
    var position: FilePosition
  }

  /// Expands member patterns into dated memberships, in time order per node.
  mutating func assignMembers() {
    var claims: [Claim] = []
    claims.reserveCapacity(nodes.count)
    var placed = PlacedGPUs()
    for entry in document.allocations {
      guard let allocation = allocationByPath[entry.path] else { continue }
      for member in entry.members {
        let membership = Membership(allocation: allocation, from: member.from, until: member.until)
        for (text, position) in member.patterns {
          let members = claimedNodes(text, at: position, of: "allocation '\(entry.path)'")
          guard claims.count + members.count <= Limits.membershipsMax else {
            findings.error(
              position, "more than \(Limits.membershipsMax) memberships", remedy: "merge adjoining date ranges")
            return
          }
          var gpus = 0
          for node in members {
            claims.append(Claim(node: node.position, membership: membership, position: position))
            gpus += nodes[node.position].gpus
          }
          placed.add(gpus, to: allocation, membership)
        }
      }
    }
    claims.sort { ($0.node, $0.membership.from) < ($1.node, $1.membership.from) }
    store(claims)
    warnAboutOverfullGrants(placed)
  }

  private mutating func store(_ claims: [Claim]) {
    memberships.reserveCapacity(claims.count)
    var reported: Set<FilePosition> = []
    var index = 0
    while index < claims.count {
      let node = claims[index].node
      let first = memberships.count
      while index < claims.count, claims[index].node == node {
        let claim = claims[index]
        if memberships.count > first, let last = memberships.last, last.until > claim.membership.from {
          // One line often overlaps for thousands of nodes: the first says it all.
          if reported.insert(claim.position).inserted { reportOverlap(claims[index - 1], claim) }
        }
        memberships.append(claim.membership)
        index += 1
      }
      let old = nodes[node]
      nodes[node] = FleetNode(
        id: old.id, rack: old.rack, model: old.model, gpus: old.gpus, memberships: first..<memberships.count)
    }
  }

  private func reportOverlap(_ first: Claim, _ second: Claim) {
    let paths = [first, second].map { allocations[$0.membership.allocation.position].path }
    let overlapStart = document.timeZone.text(of: second.membership.from)
    findings.error(
      second.position,
      "node '\(nodes[second.node].id)' belongs to '\(paths[0])' (line \(first.position.line)) and to '\(paths[1])' "
        + "at the same time, from \(second.membership.from == .distantPast ? "the beginning" : overlapStart)",
      remedy: "let one membership end ('until') where the next begins ('from')")
  }

  /// Nodes that a pattern names; unknown ones are reported once per pattern.
  func claimedNodes(_ text: String, at position: FilePosition, of subject: String) -> [NodeIndex] {
    var found: [NodeIndex] = []
    var unknown: (first: String, count: Int)?
    do {
      let pattern = try NamePattern(text)
      found.reserveCapacity(pattern.count)
      pattern.forEachName { name in
        if let id = NodeID(name), let node = nodeByID[id] {
          found.append(node)
        } else {
          unknown = (unknown?.first ?? name, (unknown?.count ?? 0) + 1)
        }
      }
    } catch {
      findings.error(position, "node pattern '\(text)' of \(subject): \(error)", remedy: error.remedy)
    }
    if let unknown {
      let others = unknown.count > 1 ? " and \(unknown.count - 1) more" : ""
      findings.error(
        position, "\(subject) names node '\(unknown.first.prefix(80))'\(others), which stand in no rack",
        remedy: "mend the pattern or add the racks")
    }
    return found
  }

  private func warnAboutOverfullGrants(_ placed: PlacedGPUs) {
    for entry in document.allocations {
      guard let index = allocationByPath[entry.path], let granted = allocations[index.position].grantedGPUs else {
        continue
      }
      let most = placed.most(in: index, allocations)
      guard most > granted else { continue }
      findings.warning(
        entry.position, "allocation '\(entry.path)' is granted \(granted) GPUs, its members hold up to \(most)",
        remedy: "raise granted_gpus or let fewer nodes belong to it")
    }
  }
}

/// How many GPUs belong to each allocation over time, as steps at the instants where that changes.
private struct PlacedGPUs {
  private var steps: [AllocationIndex: [Tick: Int]] = [:]

  mutating func add(_ gpus: Int, to allocation: AllocationIndex, _ membership: Membership) {
    steps[allocation, default: [:]][membership.from, default: 0] += gpus
    steps[allocation, default: [:]][membership.until, default: 0] -= gpus
  }

  /// The most at any time in `allocation` and all below it.
  func most(in allocation: AllocationIndex, _ allocations: [Allocation]) -> Int {
    var merged: [Tick: Int] = [:]
    for (owner, ownSteps) in steps where lies(owner, in: allocation, allocations) {
      merged.merge(ownSteps) { $0 + $1 }
    }
    var current = 0
    var most = 0
    for (_, step) in merged.sorted(by: { $0.key < $1.key }) {
      current += step
      most = max(most, current)
    }
    return most
  }

  private func lies(_ owner: AllocationIndex, in allocation: AllocationIndex, _ allocations: [Allocation]) -> Bool {
    var next: AllocationIndex? = owner
    while let index = next {
      if index == allocation { return true }
      next = allocations[index.position].parent
    }
    return false
  }
}
