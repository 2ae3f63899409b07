/// One instruction of a compiled pattern. Targets are indexes into the program.
enum PatternInstruction: Sendable {
  case scalar(Unicode.Scalar)
  case any
  case anyExceptNewline
  case set(CharacterSet)
  case assertion(PatternAssertion)
  /// Try the first target, then the second: their order is the preference of the match.
  case split(Int, Int)
  case jump(Int)
  /// Remember the place in the text.
  case save(Int)
  case match
}

/// Turns a tree into a program.
struct PatternCompiler {
  private var instructions: [PatternInstruction] = []

  static func compile(_ node: PatternNode, groupNames: [String]) throws(PatternError) -> PatternProgram {
    var compiler = PatternCompiler()
    try compiler.emit(node)
    compiler.instructions.append(.match)
    return PatternProgram(instructions: compiler.instructions, groupNames: groupNames)
  }

  private mutating func append(_ instruction: PatternInstruction) throws(PatternError) {
    guard instructions.count < SeriesLimits.patternInstructionsMax else {
      throw PatternError(
        reason: "expression too large, more than \(SeriesLimits.patternInstructionsMax) instructions", fragment: nil)
    }
    instructions.append(instruction)
  }

  private mutating func emit(_ node: PatternNode) throws(PatternError) {
    switch node {
    case .empty: break
    case .scalar(let scalar): try append(.scalar(scalar))
    case .any: try append(.any)
    case .anyExceptNewline: try append(.anyExceptNewline)
    case .set(let set): try append(.set(set))
    case .assertion(let assertion): try append(.assertion(assertion))
    case .sequence(let nodes): for node in nodes { try emit(node) }
    case .alternation(let branches): try emitAlternation(branches)
    case .group(let inner, let number):
      if let number { try append(.save(2 * number)) }
      try emit(inner)
      if let number { try append(.save(2 * number + 1)) }
    case .repetition(let inner, let minimum, let maximum, let isGreedy):
      try emitRepetition(of: inner, minimum: minimum, maximum: maximum, isGreedy: isGreedy)
    }
  }

  private mutating func emitAlternation(_ branches: [PatternNode]) throws(PatternError) {
    var jumps: [Int] = []
    for (index, branch) in branches.enumerated() {
      guard index < branches.count - 1 else {
        try emit(branch)
        break
      }
      let split = instructions.count
      try append(.split(split + 1, 0))
      try emit(branch)
      jumps.append(instructions.count)
      try append(.jump(0))
      instructions[split] = .split(split + 1, instructions.count)
    }
    for jump in jumps { instructions[jump] = .jump(instructions.count) }
  }

  private mutating func emitRepetition(of node: PatternNode, minimum: Int, maximum: Int?, isGreedy: Bool)
    throws(PatternError)
  {
    guard let maximum else {
      for _ in 0..<max(0, minimum - 1) { try emit(node) }
      if minimum > 0 {
        try emitPlus(node, isGreedy: isGreedy)
      } else if node.matchesEmpty {
        // A loop over something that can be empty prefers the empty match once: (x+)? instead of x*.
        let split = instructions.count
        try append(.split(0, 0))
        try emitPlus(node, isGreedy: isGreedy)
        setSplit(split, into: split + 1, past: instructions.count, isGreedy: isGreedy)
      } else {
        let split = instructions.count
        try append(.split(0, 0))
        try emit(node)
        try append(.jump(split))
        setSplit(split, into: split + 1, past: instructions.count, isGreedy: isGreedy)
      }
      return
    }
    for _ in 0..<minimum { try emit(node) }
    var splits: [Int] = []
    for _ in 0..<max(0, maximum - minimum) {
      splits.append(instructions.count)
      try append(.split(0, 0))
      try emit(node)
    }
    for split in splits { setSplit(split, into: split + 1, past: instructions.count, isGreedy: isGreedy) }
  }

  private mutating func emitPlus(_ node: PatternNode, isGreedy: Bool) throws(PatternError) {
    let start = instructions.count
    try emit(node)
    let split = instructions.count
    try append(.split(0, 0))
    setSplit(split, into: start, past: split + 1, isGreedy: isGreedy)
  }

  private mutating func setSplit(_ split: Int, into: Int, past: Int, isGreedy: Bool) {
    instructions[split] = isGreedy ? .split(into, past) : .split(past, into)
  }
}

/// A compiled pattern and the machine that runs it: all threads advance together, one character at a time.
struct PatternProgram: Sendable {
  let instructions: [PatternInstruction]
  let groupNames: [String]

  /// Threads at one place of the text, in order of preference, each instruction at most once.
  private struct Threads {
    var order: [Int] = []
    var captures: [[Int]] = []
    var seen: [Int]
    var generation = 0

    init(capacity: Int) { seen = Array(repeating: -1, count: capacity) }

    mutating func clear() {
      order.removeAll(keepingCapacity: true)
      captures.removeAll(keepingCapacity: true)
      generation += 1
    }

    mutating func claim(_ instruction: Int) -> Bool {
      if seen[instruction] == generation { return false }
      seen[instruction] = generation
      return true
    }
  }

  /// Finds the preferred match. Anchored runs must match from `start` to the end of the text.
  ///
  /// Returns the groups, the whole match first (only a placeholder when captures are not wanted), or `nil`.
  func run(_ text: [Unicode.Scalar], from start: Int, isAnchored: Bool, wantsCaptures: Bool) -> [Range<Int>?]? {
    var current = Threads(capacity: instructions.count)
    var next = Threads(capacity: instructions.count)
    let slots = wantsCaptures ? 2 * (groupNames.count + 1) : 0
    let blank = Array(repeating: -1, count: slots)
    var best: [Int]?
    var position = start
    current.clear()
    while true {
      if best == nil, !isAnchored || position == start {
        var fresh = blank
        if wantsCaptures { fresh[0] = position }
        add(0, to: &current, captures: fresh, text: text, position: position)
      }
      if current.order.isEmpty, isAnchored || best != nil { break }
      next.clear()
      advance: for (thread, instruction) in current.order.enumerated() {
        let captures = wantsCaptures ? current.captures[thread] : blank
        switch instructions[instruction] {
        case .match:
          if isAnchored, position < text.count { continue }
          best = captures
          if wantsCaptures { best?[1] = position }
          // Threads behind this one are less preferred and end here.
          break advance
        case .scalar(let scalar):
          guard position < text.count, text[position] == scalar else { continue }
        case .any:
          guard position < text.count else { continue }
        case .anyExceptNewline:
          guard position < text.count, text[position] != "\n" else { continue }
        case .set(let set):
          guard position < text.count, set.contains(text[position]) else { continue }
        case .assertion, .split, .jump, .save: continue
        }
        add(instruction + 1, to: &next, captures: captures, text: text, position: position + 1)
      }
      if best != nil, !wantsCaptures { return [] }
      if position >= text.count { break }
      position += 1
      swap(&current, &next)
    }
    guard let best else { return nil }
    return stride(from: 0, to: slots, by: 2).map { slot in
      best[slot] >= 0 && best[slot + 1] >= best[slot] ? best[slot]..<best[slot + 1] : nil
    }
  }

  /// Adds a thread, following jumps, splits, saves and assertions to instructions that read a character.
  ///
  /// Works with a stack of its own: programs may be long chains of splits.
  private func add(_ first: Int, to threads: inout Threads, captures: [Int], text: [Unicode.Scalar], position: Int) {
    var pending: [(instruction: Int, captures: [Int])] = [(first, captures)]
    while let (instruction, captures) = pending.popLast() {
      guard threads.claim(instruction) else { continue }
      switch instructions[instruction] {
      case .jump(let target): pending.append((target, captures))
      case .split(let preferred, let other):
        pending.append((other, captures))
        pending.append((preferred, captures))
      case .save(let slot):
        var saved = captures
        if !saved.isEmpty { saved[slot] = position }
        pending.append((instruction + 1, saved))
      case .assertion(let assertion):
        if holds(assertion, text, position) { pending.append((instruction + 1, captures)) }
      case .scalar, .any, .anyExceptNewline, .set, .match:
        threads.order.append(instruction)
        if !captures.isEmpty { threads.captures.append(captures) }
      }
    }
  }

  private func holds(_ assertion: PatternAssertion, _ text: [Unicode.Scalar], _ position: Int) -> Bool {
    switch assertion {
    case .textStart: return position == 0
    case .textEnd: return position == text.count
    case .lineStart: return position == 0 || text[position - 1] == "\n"
    case .lineEnd: return position == text.count || text[position] == "\n"
    case .wordBoundary, .notWordBoundary:
      let before = position > 0 && Self.isWord(text[position - 1])
      let after = position < text.count && Self.isWord(text[position])
      return (before != after) == (assertion == .wordBoundary)
    }
  }

  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    default: false
    }
  }
}
