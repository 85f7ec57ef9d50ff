"""A Glue script: every way in which scripts read and write s3://, its findings printed as one JSON line."""

import json
import sys
import zipfile

import lab_library
from awsglue.context import GlueContext
from awsglue.job import Job
from awsglue.transforms import *  # noqa: F403 - as Glue's own templates begin
from awsglue.utils import getResolvedOptions
from pyspark.context import SparkContext
from pyspark.sql import functions as F

args = getResolvedOptions(sys.argv, ["JOB_NAME", "OUT", "DENIED"])
glue = GlueContext(SparkContext.getOrCreate())
spark = glue.spark_session
job = Job(glue)
job.init(args["JOB_NAME"], args)
out, found = args["OUT"], {"library": lab_library.WORD, "name": args["JOB_NAME"]}
rows = spark.range(0, 20000, 1, 4).selectExpr("id", "id % 3 as g", "cast(id as string) as s")


def counts(path):
    return {str(row["g"]): row["count"] for row in spark.read.parquet(path).groupBy("g").count().collect()}


def said(call):
    try:
        call()
    except Exception as error:  # noqa: BLE001 - of any kind: its text is what is looked at
        return str(error)
    return ""


# Formats
rows.write.parquet(out + "/parquet")
found["parquet"] = spark.read.parquet(out + "/parquet").agg(F.sum("id")).first()[0]
rows.write.option("header", True).csv(out + "/csv")
found["csv"] = (
    spark.read.option("header", True)
    .option("inferSchema", True)
    .csv(out + "/csv")
    .agg(F.sum("id"))
    .first()[0]
)
rows.write.json(out + "/json", compression="gzip")
found["json.gz"] = spark.read.json(out + "/json").count()
rows.select("s").write.text(out + "/a name with % and ü/k=v")
found["text"] = spark.read.text(out + "/a name with % and ü/k=v").count()
rows.write.orc("s3a" + out[2:] + "/orc")
found["s3a"] = spark.read.orc("s3a" + out[2:] + "/orc").count()

# Places
rows.write.mode("overwrite").partitionBy("g").parquet(out + "/parts")
rows.where("g = 1").write.mode("append").partitionBy("g").parquet(out + "/parts")
found["appended"] = counts(out + "/parts")
spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
rows.where("g = 2").limit(5).write.mode("overwrite").partitionBy("g").parquet(out + "/parts")
found["overwritten"] = counts(out + "/parts")
found["glob"] = spark.read.csv(out + "/{csv,nothing}/part-0000[01]*").count()
found["exists"] = said(lambda: rows.write.parquet(out + "/parquet"))
found["missing"] = said(lambda: spark.read.parquet(out + "/nothing"))

# Files, by Hadoop's own interface
jvm, configuration = spark._jvm, spark._jsc.hadoopConfiguration()


def path(name):
    return jvm.org.apache.hadoop.fs.Path(out + "/" + name)


fs = path("x").getFileSystem(configuration)
block = bytes(range(256)) * 4096  # 1 MiB
stream = fs.create(path("large"))
for _ in range(20):  # more than two parts of an upload
    stream.write(block)
found["before close"] = fs.exists(path("large"))
stream.close()
found["large"] = fs.getFileStatus(path("large")).getLen()
found["renamed"] = fs.rename(path("large"), path("moved"))  # in parts: the limit is set low
reader = fs.open(path("moved"))
reader.seek(20 * len(block) - 2)
found["end"] = [reader.read(), reader.read(), reader.read()]
reader.seek(7 * len(block) + 3)
found["middle"] = reader.read()
found["folders"] = [
    fs.exists(path("f")),
    fs.mkdirs(path("f/g")),
    fs.exists(path("f/g")),
    fs.getFileStatus(path("parts/g=1")).isDirectory(),
    fs.delete(path("f"), True),
]
abandoned = fs.create(path("abandoned"))
for _ in range(9):
    abandoned.write(block)
found["listed"] = len(fs.listStatus(path("many")))
found["not empty"] = said(lambda: fs.delete(path("many"), False))
found["deleted"] = fs.delete(path("many"), True)

# What the role may not
denied = args["DENIED"]
found["denied read"] = said(lambda: spark.read.csv(denied).count())
found["denied write"] = said(lambda: fs.create(jvm.org.apache.hadoop.fs.Path(out + "/../../other/x")).close())
found["dynamic frame"] = said(lambda: glue.create_dynamic_frame.from_options("s3"))
found["zone"] = spark.conf.get("spark.sql.session.timeZone")
found["zipped"] = zipfile.is_zipfile(lab_library.__file__.partition("/lab_library.py")[0])
job.commit()
print("FOUND " + json.dumps(found))
raise ValueError("told\nat the end")
