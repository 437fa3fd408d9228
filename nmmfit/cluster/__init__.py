"""Chunks of a long computation on the workers of a dask.distributed cluster, in place of one process.

    with connected(given("tcp://10.0.0.1:8786"), experiments=["coherent_csi_2021"]) as engine:
        nmmfit.scan(joint, axes, engine=engine)

`address` reads what the user gave, `queue` a file that describes jobs of a batch system, `connection` opens and checks a cluster,
`engine` hands chunks to its workers and takes them back, `worker` is what runs there. Needs the extra nmmfit[cluster].
"""
