import pytest

import harness


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return harness.make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def make_gate(certificate, tmp_path):
    gates = []

    def make(**options):
        gates.append(harness.Gate(*certificate, tmp_path, **options))
        return gates[-1]

    yield make
    for gate in gates:
        gate.stop()
        print(gate.log())
        assert "Sanitizer" not in gate.log() and "runtime error" not in gate.log()


@pytest.fixture
def gate(make_gate):
    gate = make_gate()
    gate.answer_all()
    yield gate
    assert gate.stop(), "the gate did not drain and exit with 0"
