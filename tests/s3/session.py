#!/usr/bin/python3
"""session.py STS_ENDPOINT ROLE_ARN - assumes the role; prints its credentials as shell exports."""
import shlex
import sys

import boto3

endpoint, role = sys.argv[1:]
sts = boto3.client("sts", endpoint_url=endpoint, region_name="us-east-1")
c = sts.assume_role(RoleArn=role, RoleSessionName="demo", DurationSeconds=12 * 3600)["Credentials"]
for name, value in (("AWS_ACCESS_KEY_ID", c["AccessKeyId"]),
                    ("AWS_SECRET_ACCESS_KEY", c["SecretAccessKey"]),
                    ("AWS_SESSION_TOKEN", c["SessionToken"]),
                    ("AWS_CREDENTIAL_EXPIRATION", c["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"))):
    print("export %s=%s" % (name, shlex.quote(value)))
