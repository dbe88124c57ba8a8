from itertools import islice

from slurmgate.kube.backoff import delays


def test_pauses_double_up_to_the_longest_and_disperse() -> None:
    many = [list(islice(delays(first=1, most=8), 6)) for _ in range(200)]
    for step, most in enumerate((1, 2, 4, 8, 8, 8)):
        pauses = [pauses[step] for pauses in many]
        assert most / 2 <= min(pauses) < max(pauses) <= most
        assert len(set(pauses)) > 100
