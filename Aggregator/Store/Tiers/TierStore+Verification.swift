internal import GRDB

extension TierStore {
  /// The checksums of all rows, one line for each table with damage. Reads the whole file.
  func problems() throws(StoreError) -> [String] {
    try database.read { db in
      var problems: [String] = []
      for (table, key) in [("rows", "id"), ("fresh", "id"), ("carries", "minute"), ("fleets", "number")] {
        var damaged = 0
        let cursor = try Row.fetchCursor(db, sql: "SELECT \(key) AS id, body, checksum FROM \(table)")
        while let row = try cursor.next() { if self.sound(row, id: row["id"]) == nil { damaged += 1 } }
        if damaged > 0 { problems.append("\(damaged) entries of \(table) are damaged") }
      }
      return problems
    }
  }
}
