"""Numbers of patients, planned before data are collected."""
