"""What normal looks like: profiles of the data a model was trained or approved on."""
