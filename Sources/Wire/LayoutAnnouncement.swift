public import BongsuModel

/// A row layout under the number by which blocks of the session refer to it: part of Hello, and the Layout frame.
public struct LayoutAnnouncement: Hashable, Sendable {
  /// Number within the stream, at most ``WireLimits/layoutNumberMax``; a changed layout gets a new number.
  public let number: Int
  /// The shape of the rows.
  public let layout: RowLayout

  /// Gives `layout` the number `number`.
  public init(number: Int, layout: RowLayout) {
    precondition((0...WireLimits.layoutNumberMax).contains(number), "layout number \(number) is out of range")
    self.number = number
    self.layout = layout
  }

  /// Appends the Layout frame.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(WireVersion.firstByte(.layout))
    encodeBody(into: &bytes)
  }

  /// Reads a Layout frame.
  public init(decoding frame: RawSpan) throws(FrameError) {
    var cursor = try ByteCursor(after: .layout, frame)
    try self.init(decodingBody: frame, at: &cursor)
    try cursor.end(frame)
  }

  func encodeBody(into bytes: inout [UInt8]) {
    bytes.appendVarint(UInt64(number))
    bytes.appendVarint(UInt64(layout.interval.milliseconds))
    bytes.appendVarint(UInt64(layout.columns.count))
    for column in layout.columns {
      bytes.appendVarint(UInt64(column.id.rawValue))
      bytes.append(column.unit.rawValue)
      bytes.append(column.kind.rawValue)
      bytes.append(column.scope.rawValue)
      bytes.appendText(column.name, max: Limits.metricNameBytesMax)
    }
    bytes.appendVarint(UInt64(layout.devices.count))
    for device in layout.devices {
      bytes.append(device.scope.rawValue)
      bytes.appendVarint(UInt64(device.index))
      bytes.appendText(device.key, max: Limits.deviceKeyBytesMax)
      bytes.appendText(device.model, max: Limits.deviceModelBytesMax)
    }
  }

  /// Reads the number and the tick interval, with which a body begins.
  static func outline(
    decodingBody bytes: RawSpan, at cursor: inout ByteCursor
  ) throws(FrameError) -> (number: Int, interval: TickInterval) {
    let number = try cursor.count(.layoutNumber, max: WireLimits.layoutNumberMax, bytes)
    let milliseconds = try cursor.varint(.interval, max: UInt64(Limits.tickIntervalMillisecondsMax), bytes)
    guard let interval = TickInterval(milliseconds: Int(milliseconds)) else {
      throw .outOfRange(
        field: .interval, value: Int64(milliseconds), limit: Int64(Limits.tickIntervalMillisecondsMax))
    }
    return (number, interval)
  }

  init(decodingBody bytes: RawSpan, at cursor: inout ByteCursor) throws(FrameError) {
    let (number, interval) = try Self.outline(decodingBody: bytes, at: &cursor)
    let columnCount = try cursor.count(.columnCount, max: Limits.columnsMax, bytes)
    var columns: [Metric] = []
    columns.reserveCapacity(columnCount)
    for _ in 0..<columnCount { columns.append(try Self.column(bytes, &cursor)) }
    let deviceCount = try cursor.count(.deviceCount, max: Limits.devicesMax, bytes)
    var devices: [Device] = []
    devices.reserveCapacity(deviceCount)
    for _ in 0..<deviceCount { devices.append(try Self.device(bytes, &cursor)) }
    do {
      self.init(number: number, layout: try RowLayout(interval: interval, columns: columns, devices: devices))
    } catch {
      throw .invalidLayout(error)
    }
  }

  /// A column as announced; help text, which does not travel, comes from the catalogue when it knows the same metric.
  private static func column(_ bytes: RawSpan, _ cursor: inout ByteCursor) throws(FrameError) -> Metric {
    let id = MetricID(rawValue: UInt16(try cursor.varint(.metricID, max: UInt64(UInt16.max), bytes)))
    let unitCode = try cursor.u8(.metricUnit, bytes)
    guard let unit = WireUnit(rawValue: unitCode) else {
      throw .unknownCode(field: .metricUnit, code: UInt64(unitCode))
    }
    let kindCode = try cursor.u8(.metricKind, bytes)
    guard let kind = MetricKind(rawValue: kindCode) else {
      throw .unknownCode(field: .metricKind, code: UInt64(kindCode))
    }
    let scope = try Self.scope(bytes, &cursor)
    let known = MetricCatalogue.metric(id).flatMap {
      $0.unit == unit && $0.kind == kind && $0.scope == scope ? $0 : nil
    }
    // Mostly it is the catalogue's, whose name need not be made again.
    if let known, cursor.skip(known.name, bytes) { return known }
    let name = try cursor.text(.metricName, max: Limits.metricNameBytesMax, bytes)
    guard isMetricName(name) else { throw .malformedText(field: .metricName) }
    return Metric(id: id, name: name, unit: unit, kind: kind, scope: scope, help: "")
  }

  private static func device(_ bytes: RawSpan, _ cursor: inout ByteCursor) throws(FrameError) -> Device {
    let scope = try Self.scope(bytes, &cursor)
    let index = UInt16(try cursor.varint(.deviceIndex, max: UInt64(UInt16.max), bytes))
    let key = try cursor.text(.deviceKey, max: Limits.deviceKeyBytesMax, bytes)
    let model = try cursor.text(.deviceModel, max: Limits.deviceModelBytesMax, bytes)
    return Device(scope: scope, index: index, key: key, model: model)
  }

  private static func scope(_ bytes: RawSpan, _ cursor: inout ByteCursor) throws(FrameError) -> DeviceScope {
    let code = try cursor.u8(.scope, bytes)
    guard let scope = DeviceScope(rawValue: code) else { throw .unknownCode(field: .scope, code: UInt64(code)) }
    return scope
  }

  /// Whether `name` is a metric name of the Prometheus data model: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
  private static func isMetricName(_ name: String) -> Bool {
    guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
    return name.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x5F
        || $0 == 0x3A
    }
  }
}

extension ByteCursor {
  /// Checks a frame's first byte and stands behind it.
  init(after expected: FrameType, _ frame: RawSpan) throws(FrameError) {
    let seen = try FrameType(of: frame)
    guard seen == expected else { throw .unexpectedType(seen: seen, expected: expected) }
    self.init(at: 1)
  }
}
