"""Plans of studies: numbers of patients, by closed forms, by simulation and from a pilot."""
