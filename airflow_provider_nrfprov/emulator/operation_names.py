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
        "CreateDevicesInBulk",
        "CreateProvisioningRule",
        "CreateTag",
        "DeleteTags",
        "DownloadBulkOpsData",
        "FetchBulkCreation",
        "FetchBulkOpsRequest",
        "FetchClaimedDevice",
        "FetchDevice",
        "FetchDeviceProvisioningCommand",
        "FetchTag",
        "ListBulkOpsRequests",
        "ListClaimedDevices",
        "ListDeviceProvisioningCommands",
        "ListDevices",
        "ListProvisioningRules",
        "ListTags",
        "UnblockClaimedDevice",
        "UnclaimDevice",
        "UpdateClaimedDevice",
        "UpdateTag",
    }
)
"""Of everything but the side doors; ``routes`` has where each is served."""
