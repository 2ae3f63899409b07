/// Which alerts are listed when there are more than a limit: the first of every rule, as many as fit, so that a flood of one
/// rule hides no other.
enum AlertShare {
  /// - Parameters:
  ///   - rules: the rule of each alert, in the order in which they are listed.
  ///   - current: how many of them, at the front, are not over. The others take only the room that these leave.
  /// - Returns: ascending positions of those that stay: `limit` of them, or all.
  static func positions<Rule: Hashable>(_ rules: [Rule], current: Int, limit: Int) -> [Int] {
    let kept = positions(Array(rules.prefix(current)), limit: limit)
    return kept + (current..<rules.count).prefix(limit - kept.count)
  }

  private static func positions<Rule: Hashable>(_ rules: [Rule], limit: Int) -> [Int] {
    guard rules.count > limit else { return Array(rules.indices) }
    var found: [Rule: (count: Int, first: Int)] = [:]
    for (position, rule) in rules.enumerated() { found[rule, default: (0, position)].count += 1 }
    var room: [Rule: Int] = [:]
    var left = limit
    // What a rule with few does not need is for the others; where there are more rules than room, the last go without.
    let fewestFirst = found.sorted { ($0.value.count, -$0.value.first) < ($1.value.count, -$1.value.first) }
    for (number, entry) in fewestFirst.enumerated() {
      let share = min(entry.value.count, left / (fewestFirst.count - number))
      room[entry.key] = share
      left -= share
    }
    return rules.indices.filter { position in
      guard let share = room[rules[position]], share > 0 else { return false }
      room[rules[position]] = share - 1
      return true
    }
  }
}
