"""The brain of a city: takes in events, keeps them once, and turns them into time series by place."""
