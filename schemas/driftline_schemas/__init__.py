"""The contract between model services, the pipeline, analysts and alert consumers; it imports nothing of ours."""
