<%@ page contentType="text/html; charset=UTF-8" session="false" %><%@ include file="WEB-INF/desk.jspf" %><!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title><%= text(configuration().getProperty("title")) %></title>
<link rel="stylesheet" href="assets/desk.css">
</head>
<body>
<h1><%= text(configuration().getProperty("title")) %></h1>
<p>environment: <b><%= text(configuration().getProperty("environment")) %></b>, host: <b><%= text(host()) %></b></p>
<p><a href="issues.jsp">Issues</a> (<%= issues().size() %>)</p>
<footer>Atlas Desk <%= text(version()) %></footer>
</body>
</html>
