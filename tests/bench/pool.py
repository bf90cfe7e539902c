"""What Python users have: one row to a ProcessPoolExecutor's worker and a number back.

python3 pool.py FEATURES CLIENT_CORE WORKER_CORE SECONDS: prints the nanoseconds of a round trip, a batch a line.
"""

import array
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor


def predict(row):
    return 0.5


def main():
    features, client, worker = (int(word) for word in sys.argv[1:4])
    seconds = float(sys.argv[4])
    row = array.array("f", [0.5]) * features
    with ProcessPoolExecutor(1, initializer=os.sched_setaffinity, initargs=(0, {worker})) as pool:
        for _ in range(20):
            pool.submit(predict, row).result()
        os.sched_setaffinity(0, {client})
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            begun = time.perf_counter_ns()
            for _ in range(50):
                pool.submit(predict, row).result()
            print((time.perf_counter_ns() - begun) / 50)


if __name__ == "__main__":
    main()
