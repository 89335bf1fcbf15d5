#!/usr/bin/python3
"""prepare.py ENDPOINT BUCKET ORIGINS - makes the bucket with the README's CORS rule, the right to
ask STS, and a role that uploads."""
import json
import sys
from pathlib import Path

import boto3
from botocore.config import Config

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import readme  # noqa: E402  (in the folder above)

endpoint, bucket, origins = sys.argv[1:]
patient = dict(connect_timeout=5, read_timeout=20, retries={"max_attempts": 3})

iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1", config=Config(**patient))


# compact: the gateway reads a '+' of a form body as it stands, so there must be no blanks
def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | statement]},
                      separators=(",", ":"))


iam.put_user_policy(UserName="demo", PolicyName="sts",
                    PolicyDocument=policy(Action="sts:GetSessionToken", Resource="*"))
iam.create_role(RoleName="uploader", MaxSessionDuration=12 * 3600,
                AssumeRolePolicyDocument=policy(Principal={"AWS": ["arn:aws:iam:::user/demo"]},
                                                Action=["sts:AssumeRole"]))
iam.put_role_policy(RoleName="uploader", PolicyName="uploads",
                    PolicyDocument=policy(Action=["s3:*"], Resource="arn:aws:s3:::*"))

s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1",
                  config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, **patient))
s3.create_bucket(Bucket=bucket)
s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=readme.bucket_cors(json.loads(origins)))
