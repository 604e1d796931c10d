"""What every archive on AWS shares: its settings, how its clients are made, and what AWS's troubles mean."""
