import BongsuEnrolment
import BongsuReports

/// The key that reports are signed by.
///
///     DIR/keys/report.key     mode 0600, made at the first start: the secret key in base64 as a `KeptSecret`
///
/// It belongs to the data: who restores a backup goes on signing as before. Whoever takes the file away gets a new key, and
/// old reports are then checked against the old public key, as it was handed out.
enum ReportKeyFile {
  private static let mark = "bongsu-report-key"

  /// The key of the data directory. A file that cannot be read or holds no key keeps the aggregator from starting: a new
  /// key in its place would make all that was signed look like somebody else's.
  ///
  /// - Parameter say: told when one of its copies was damaged; it is written anew then.
  static func signer(directory: String, say: (String) -> Void = { _ in }) throws -> ReportSigner {
    let path = "\(directory)/keys/report.key"
    do {
      if let text = try SecretFile.read(path) {
        guard let reading = KeptSecret.read(text, mark: mark),
          let signer = ReportSigner(secretText: "\(mark) 1\n\(reading.secret)\n")
        else {
          throw StartFailure(
            "\(path) holds no key for signing reports; restore it from a backup, or move it away to get a new one")
        }
        if !reading.isWhole { say("\(path) was damaged in one of its two copies, and is written anew from the other") }
        if !reading.isWhole || reading.isOld {
          try SecretFile.write(KeptSecret.text(reading.secret, mark: mark), to: path)
        }
        return signer
      }
      let signer = ReportSigner()
      try SecretFile.makeDirectory("\(directory)/keys")
      let secret = signer.secretText.split(separator: "\n").last.map(String.init) ?? ""
      try SecretFile.write(KeptSecret.text(secret, mark: mark), to: path)
      return signer
    } catch let failure as SecretFile.Failure {
      throw StartFailure("\(failure)")
    }
  }
}
