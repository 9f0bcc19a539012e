resource "aws_iam_policy" "backup_cli_writer" {
  name        = "backup-cli-writer"
  description = "What backup-cli needs of s3://my-backups/web"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "BackupCliUseObjects",
        "Effect" : "Allow",
        "Action" : [
          "s3:AbortMultipartUpload",
          "s3:ListMultipartUploadParts",
          "s3:PutObject"
        ],
        "Resource" : [
          "arn:aws:s3:::my-backups/web/*"
        ]
      },
      {
        "Sid" : "BackupCliSpareObjects",
        "Effect" : "Deny",
        "Action" : [
          "s3:DeleteObject",
          "s3:DeleteObjectVersion",
          "s3:PutObjectRetention",
          "s3:BypassGovernanceRetention"
        ],
        "Resource" : [
          "arn:aws:s3:::my-backups/web/*"
        ]
      },
      {
        "Sid" : "BackupCliSpareBucket",
        "Effect" : "Deny",
        "Action" : [
          "s3:PutLifecycleConfiguration"
        ],
        "Resource" : [
          "arn:aws:s3:::my-backups"
        ]
      },
      {
        "Sid" : "BackupCliReplaceNothing",
        "Effect" : "Deny",
        "Action" : [
          "s3:PutObject"
        ],
        "Resource" : [
          "arn:aws:s3:::my-backups/web/*"
        ],
        "Condition" : {
          "Bool" : {
            "s3:ObjectCreationOperation" : [
              "true"
            ]
          },
          "Null" : {
            "s3:if-none-match" : [
              "true"
            ]
          }
        }
      }
    ]
  })
}
