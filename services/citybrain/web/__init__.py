"""What every HTTP role shares: the application, problem details, and bodies read within limits."""

from citybrain.web.app import Described, WebParts, create_app
from citybrain.web.problem import Problem, answers, invalid, problem_response

__all__ = ["Described", "Problem", "WebParts", "answers", "create_app", "invalid", "problem_response"]
