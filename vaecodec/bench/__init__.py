"""`vaecodec bench`: rate and distortion of image codecs on somebody's pictures, in real file bytes.

codecs.py what is compared; measure.py one file coded once; runner.py all of them, resumable; rows.py the CSV;
analysis.py mean curves and BD-rates; plots.py, tables.py, report.py, page/ what is shown. Needs the `bench` extra.
"""
