def check_keys(scenario, goal):
    pass
