import BongsuStore
import BongsuTestKit
import Foundation
import GRDB
import Testing

@Suite("Alert store")
struct AlertStoreTests {
  @Test("what one run saved the next one finds: alerts replaced by rule, events until they are done, history")
  func roundTrip() throws {
    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/alerts.sqlite"
    do {
      let store = try AlertStore(path: path)
      var change = AlertStore.Change()
      change.alerts = ["a": ["one", "two"], "b": ["three"]]
      change.events = [("am", "first"), ("am", "second"), ("hook", "first")]
      change.transitions = [(1000, "fires"), (2000, "over")]
      change.notes = ["coverage": "0.97"]
      #expect(try store.commit(change) == [1, 2, 3])
      change = AlertStore.Change()
      change.alerts = ["a": ["four"], "b": []]
      change.doneEvents = [1]
      #expect(try store.commit(change) == [])
    }
    let store = try AlertStore(path: path)
    let contents = try store.contents()
    #expect(contents.alerts == [AlertStore.Alert(rule: "a", body: "four")])
    #expect(contents.events.map(\.number) == [2, 3])
    #expect(contents.notes == ["coverage": "0.97"])
    #expect(contents.damage.isEmpty)
    #expect(try store.transitions(from: 0, through: 9999, limit: 10).bodies == ["over", "fires"])
    #expect(try store.transitions(from: 1500, through: 9999, limit: 10).bodies == ["over"])
    #expect(try store.transitions(from: 0, through: 9999, limit: 1).bodies == ["over"])
    // Numbers are never given twice, or a late confirmation could remove another event.
    var change = AlertStore.Change()
    change.doneEvents = [2, 3]
    _ = try store.commit(change)
    change = AlertStore.Change()
    change.events = [("am", "third")]
    #expect(try store.commit(change) == [4])
  }

  @Test("a damaged row is left out and named, the others stay")
  func damagedRow() throws {
    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/alerts.sqlite"
    do {
      let store = try AlertStore(path: path)
      var change = AlertStore.Change()
      change.alerts = ["a": ["one"], "b": ["two"]]
      change.events = [("am", "first")]
      change.transitions = [(1000, "fires")]
      _ = try store.commit(change)
    }
    try DatabaseQueue(path: path).write { db in
      try db.execute(sql: "UPDATE alerts SET body = 'other' WHERE rule = 'a'")
      try db.execute(sql: "UPDATE events SET receiver = 'other'")
      try db.execute(sql: "UPDATE transitions SET at_ms = 2000")
    }
    let store = try AlertStore(path: path)
    let contents = try store.contents()
    #expect(contents.alerts.map(\.rule) == ["b"])
    #expect(contents.events.isEmpty)
    #expect(contents.damage.count == 2)
    let history = try store.transitions(from: 0, through: 9999, limit: 10)
    #expect(history.bodies.isEmpty && history.damaged == 1)
  }

  @Test("a file that is no database is refused as damaged, and makes room for a new one when it is mended")
  func damagedFile() throws {
    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/alerts.sqlite"
    try Data(repeating: 0x55, count: 8192).write(to: URL(fileURLWithPath: path))
    #expect(throws: StoreError.self) { try AlertStore(path: path) }
    var said: [String] = []
    #expect(try AlertStore.mended(path: path, say: { said.append($0) }).contents().alerts.isEmpty)
    #expect(said.count == 1 && said[0].contains("alerts.sqlite' was damaged"), "\(said)")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder.path).contains {
        $0.hasPrefix("alerts.sqlite.damaged-")
      })
  }
}
