"""An authority of a test's own, and the certificates that it issues."""

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Authority:
    """Issues certificates, into a folder: ca.pem, and NAME.pem with NAME.key of each."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab")])
        self.write("ca.pem", self._issue(self.name, self.key, [x509.BasicConstraints(True, None)], 1))

    def _issue(self, name, key, extensions, days):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(
            key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
                now - datetime.timedelta(days=3)).not_valid_after(now + datetime.timedelta(days=days))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name, address, days=1, host=None):
        """host: a name that it is for too; days: how long it is good; -1: until yesterday."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.write(f"{name}.pem", self._issue(subject, key, [x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(each)) for each in (address, "127.0.0.1")] +
            ([x509.DNSName(host)] if host else []))], days))
        self.write(f"{name}.key", key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return self

    def write(self, name, data):
        (self.folder / name).write_bytes(data)
        (self.folder / name).chmod(0o600)
