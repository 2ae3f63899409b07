/// A board that carries GPUs and reports power of its own, as superchips do: each of its GPUs gives the figure of the
/// whole board, so it is counted once.
struct NVMLBoard: Hashable, Sendable {
  /// Stable key of the board.
  let key: String
  /// Numbers of its GPUs in the roster.
  var members: [Int]

  /// Groups the GPUs that report power of their board. Boards that were known stay, with the GPUs they had.
  static func group(_ devices: [NVMLDevice], uuids: [String], keeping known: [NVMLBoard]) -> [NVMLBoard] {
    var boards = known
    for (index, device) in devices.enumerated() {
      guard unsafe device.handle != nil, !device.refusedCalls.contains(.fields),
        !device.refusedFields.contains(.modulePower)
      else { continue }
      let key = "MODULE-\(device.board ?? uuids[index])"
      if let board = boards.firstIndex(where: { $0.key == key }) {
        if !boards[board].members.contains(index) { boards[board].members.append(index) }
      } else {
        boards.append(NVMLBoard(key: key, members: [index]))
      }
    }
    return boards
  }
}
