-- Placeholder: the real one comes from the branch e4 and replaces it at the merge.
SELECT 1;
