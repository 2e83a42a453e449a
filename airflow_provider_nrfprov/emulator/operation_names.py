"""What requests are counted as, and faults planned for: the operations of the service, by name."""

from __future__ import annotations

OPERATION_NAMES = frozenset(
    {
        "BlockClaimedDevice",
        "BulkClaimDeviceOwnership",
        "ClaimDeviceOwnership",
        "ClaimDeviceOwnershipCsv",
        "ClaimDeviceOwnershipDryRun",
        "CreateDeviceProvisioningCommand",
        "CreateProvisioningRule",
        "CreateTag",
        "DeleteTags",
        "DownloadBulkOpsData",
        "FetchBulkOpsRequest",
        "FetchClaimedDevice",
        "FetchDeviceProvisioningCommand",
        "FetchTag",
        "ListBulkOpsRequests",
        "ListClaimedDevices",
        "ListDeviceProvisioningCommands",
        "ListProvisioningRules",
        "ListTags",
        "UnblockClaimedDevice",
        "UnclaimDevice",
        "UpdateClaimedDevice",
        "UpdateTag",
    }
)
"""Of everything but the side doors; ``routes`` has where each is served."""
